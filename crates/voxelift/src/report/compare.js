"use strict";
for (const box of document.querySelectorAll(".compare")) {
  const layers = [...box.querySelectorAll(".layer")];
  const make = (tag, properties, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  const choice = (side, start) => {
    const select = make("select", {}, ...layers.map((l, i) => make("option", { value: i, textContent: l.dataset.name })));
    select.value = start;
    select.addEventListener("change", show);
    return [select, make("label", {}, make("span", { textContent: side }), select)];
  };
  const [left, leftLabel] = choice("Left", box.dataset.left);
  const [right, rightLabel] = choice("Right", box.dataset.right);
  const line = make("input", { type: "range", min: 0, max: 100, step: 0.5, value: 50 });
  line.setAttribute("aria-label", "Where the line between the two pictures stands");
  const swap = make("button", { type: "button", textContent: "Swap" });
  const all = make("button", { type: "button", textContent: "Side by side" });
  const stages = make("div", { className: "stages" });
  const windows = make("p", { className: "windows" });
  const viewer = make("div", { className: "viewer" },
    make("div", { className: "controls" }, leftLabel, rightLabel, swap, all), stages, line, windows);

  const cut = () => box.style.setProperty("--cut", line.value + "%");
  const images = (layer) => [...layer.querySelectorAll("img")];
  function show() {
    const [a, b] = [layers[left.value], layers[right.value]];
    const [under, over] = [images(a), images(b)];
    stages.replaceChildren(...under.map((image, i) => {
      const copy = (from, name) => make("img", { className: name, src: from.src, alt: from.alt, draggable: false });
      const tag = (layer, side) => make("span", { className: "tag " + side, textContent: layer.dataset.name });
      const stage = make("div", { className: "stage" },
        copy(image, "under"), copy(over[i], "over"), make("i", { className: "line" }), tag(a, "left"), tag(b, "right"));
      stage.style.aspectRatio = image.getAttribute("width") + " / " + image.getAttribute("height");
      stage.style.flexGrow = image.getAttribute("width");
      const move = (event) => {
        const place = stage.getBoundingClientRect();
        line.value = 100 * (event.clientX - place.left) / place.width;
        cut();
      };
      stage.addEventListener("pointerdown", (event) => { stage.setPointerCapture(event.pointerId); move(event); });
      stage.addEventListener("pointermove", (event) => { if (event.buttons) move(event); });
      return stage;
    }));
    windows.textContent = [a, b].map((l) => l.dataset.name + ": " + l.dataset.window).join(" · ");
  }
  line.addEventListener("input", cut);
  swap.addEventListener("click", () => { [left.value, right.value] = [right.value, left.value]; show(); });
  all.addEventListener("click", () => {
    const open = box.classList.toggle("all");
    all.setAttribute("aria-pressed", open);
  });
  all.setAttribute("aria-pressed", "false");
  box.prepend(viewer);
  box.classList.add("live");
  show();
  cut();
}
