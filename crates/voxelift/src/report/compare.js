"use strict";
for (const box of document.querySelectorAll(".compare")) {
  const { world, frames } = JSON.parse(box.dataset.geometry);
  const layers = [...box.querySelectorAll(".layer")].map((section) => ({
    section,
    name: section.dataset.name,
    unit: section.dataset.unit,
    kind: section.dataset.kind,
    stored: [Number(section.dataset.black), Number(section.dataset.white)],
    colours: section.dataset.colours.match(/../g).map((two) => parseInt(two, 16)),
    images: [...section.querySelectorAll("img")],
    values: [],
  }));
  const make = (tag, properties, ...children) => {
    const { data = {}, ...own } = properties;
    const element = Object.assign(document.createElement(tag), own);
    for (const [name, value] of Object.entries(data)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const short = (value) => {
    const size = Math.abs(value);
    return value.toFixed(size === 0 || size >= 100 ? 0 : size >= 1 ? 1 : 3);
  };

  // State: a place in millimetres along the grid's axes, the zoom, and for each kind of layer its window as shares.
  const place = [0, 0, 0];
  frames.forEach((frame) => { place[frame.axes[2]] = frame.depths[frame.begin]; });
  const windows = { grey: [0, 1], heat: [0, 1], signed: [0, 1] };
  let zoom = 1, neurological = false, cut = 50;

  // The stored grey of each pixel: what the browser decodes of a sheet, looked up in the layer's colours.
  function values(layer, i) {
    if (!layer.values[i]) {
      const image = layer.images[i];
      const canvas = make("canvas", { width: image.naturalWidth, height: image.naturalHeight });
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.drawImage(image, 0, 0);
      const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
      const at = new Map();
      for (let v = 0; v < 256; v++) at.set(layer.colours[3 * v] << 16 | layer.colours[3 * v + 1] << 8 | layer.colours[3 * v + 2], v);
      const greys = new Uint8Array(canvas.width * canvas.height);
      for (let p = 0; p < greys.length; p++) greys[p] = at.get(pixels[4 * p] << 16 | pixels[4 * p + 1] << 8 | pixels[4 * p + 2]);
      layer.values[i] = greys;
    }
    return layer.values[i];
  }
  const sliceOf = (frame) => {
    const distance = frame.depths.map((depth) => Math.abs(depth - place[frame.axes[2]]));
    return distance.indexOf(Math.min(...distance));
  };
  const pixelOf = (frame) => [0, 1].map((i) => (frame.origin[i] - place[frame.axes[i]]) / frame.pixel);
  const valueOf = (layer) => {
    const i = frames.findIndex((frame) => frame.plane === "axial"), frame = frames[i];
    const [x, y] = pixelOf(frame).map(Math.floor);
    if (x < 0 || y < 0 || x >= frame.width || y >= frame.height) return "outside";
    const share = values(layer, i)[(sliceOf(frame) * frame.height + y) * frame.width + x] / 255;
    return short(layer.stored[0] + share * (layer.stored[1] - layer.stored[0]));
  };

  // Controls.
  const choice = (text, start) => {
    const select = make("select", {}, ...layers.map((layer, i) => make("option", { value: i, textContent: layer.name })));
    select.value = start;
    select.addEventListener("change", draw);
    return [select, make("label", {}, make("span", { textContent: text }), select)];
  };
  const range = (text, properties, heard) => {
    const input = make("input", { type: "range", ...properties });
    input.value = properties.value;
    input.addEventListener("input", () => heard(Number(input.value)));
    return [input, make("label", { className: "range" }, make("span", { textContent: text }), input)];
  };
  const button = (text, heard) => {
    const element = make("button", { type: "button", textContent: text });
    element.addEventListener("click", heard);
    return element;
  };
  const [left, leftLabel] = choice("Left", box.dataset.left);
  const [right, rightLabel] = choice("Right", box.dataset.right);
  const [line, lineLabel] = range("Line", { min: 0, max: 100, step: 0.5, value: 50 }, (v) => { cut = v; draw(); });
  const shares = { min: 0, max: 1, step: 0.01 };
  const windowed = (kind, end) => (share) => {
    const window = windows[kind()];
    window[end] = share;
    if (window[1] - window[0] < 0.02) window[end] = end ? Math.min(1, window[0] + 0.02) : Math.max(0, window[1] - 0.02);
    draw();
  };
  const [black, blackLabel] = range("Black", { ...shares, value: 0 }, windowed(() => "grey", 0));
  const [white, whiteLabel] = range("White", { ...shares, value: 1 }, windowed(() => "grey", 1));
  const [maps, mapsLabel] = range("Maps brighter", { min: 1, max: 8, step: 0.1, value: 1 }, (times) => {
    windows.heat = [0, 1 / times];
    windows.signed = [0.5 - 0.5 / times, 0.5 + 0.5 / times];
    draw();
  });
  const swap = button("Swap", () => { [left.value, right.value] = [right.value, left.value]; draw(); });
  const closer = button("Zoom in", () => { zoom = Math.min(6, zoom * 1.5); draw(); });
  const further = button("Zoom out", () => { zoom = Math.max(1, zoom / 1.5); draw(); });
  const convention = button("Neurological", () => {
    neurological = !neurological;
    convention.setAttribute("aria-pressed", neurological);
    box.classList.toggle("neurological", neurological);
    draw();
  });
  const all = button("All pictures", () => {
    all.setAttribute("aria-pressed", box.classList.toggle("all"));
    draw();
  });
  [convention, all].forEach((toggle) => toggle.setAttribute("aria-pressed", "false"));
  const reset = button("Reset", () => {
    zoom = 1;
    [black.value, white.value, maps.value, line.value] = [0, 1, 1, 50];
    Object.assign(windows, { grey: [0, 1], heat: [0, 1], signed: [0, 1] });
    cut = 50;
    frames.forEach((frame) => { place[frame.axes[2]] = frame.depths[frame.begin]; });
    draw();
  });

  // A stage for each plane: two pictures with a line between, the crosshair, the sides, a scale bar, and its slices.
  const stages = frames.map((frame, i) => {
    const canvas = make("canvas", { width: frame.width, height: frame.height });
    const letter = (side) => make("b", { className: side });
    const marks = { w: letter("w"), e: letter("e"), n: letter("n"), s: letter("s") };
    const scale = make("span", { className: "scale" });
    const [across, down, divider] = ["across", "down", "line"].map((className) => make("i", { className }));
    const [leftTag, rightTag] = ["left", "right"].map((side) => make("span", { className: "tag " + side }));
    const picture = make("div", { className: "slice", tabIndex: 0, data: {
      role: "application", "aria-label": frame.plane + " plane: arrow keys move the crosshair, page up and down change the slice" } },
      canvas, across, down, divider, ...Object.values(marks), scale, leftTag, rightTag);
    picture.style.aspectRatio = frame.width + " / " + frame.height;
    const [slider, sliderLabel] = range(frame.plane, { min: 0, max: frame.depths.length - 1, step: 1, value: frame.begin },
      (slice) => { place[frame.axes[2]] = frame.depths[slice]; draw(); });
    const readout = make("output", {});
    sliderLabel.append(readout);
    const element = make("div", { className: "stage" }, picture, sliderLabel);
    element.style.flexGrow = frame.width;
    const mirrored = () => neurological && frame.axes[0] === 0;
    const step = (by) => {
      const slice = Math.min(frame.depths.length - 1, Math.max(0, sliceOf(frame) + by));
      place[frame.axes[2]] = frame.depths[slice];
      draw();
    };
    const move = (across, down) => {
      const limits = [frame.width, frame.height];
      pixelOf(frame).forEach((pixel, a) => {
        const to = Math.min(limits[a] - 0.5, Math.max(0.5, pixel + [mirrored() ? -across : across, down][a]));
        place[frame.axes[a]] = frame.origin[a] - to * frame.pixel;
      });
      draw();
    };
    // Where the picture shows which pixels: the source rectangle of the zoom, around the crosshair.
    const shown = () => [frame.width, frame.height].map((pixels, a) => {
      const size = pixels / zoom;
      return [Math.min(pixels - size, Math.max(0, pixelOf(frame)[a] - size / 2)), size];
    });
    let dragsLine = false;
    const point = (event, begins) => {
      const bounds = picture.getBoundingClientRect();
      let x = (event.clientX - bounds.left) / bounds.width;
      if (begins) dragsLine = Math.abs(x * 100 - cut) * bounds.width < 1400;
      if (dragsLine) {
        cut = Math.min(100, Math.max(0, 100 * x));
        line.value = cut;
        draw();
        return;
      }
      if (mirrored()) x = 1 - x;
      const [[x0, w], [y0, h]] = shown();
      const to = [x0 + x * w, y0 + (event.clientY - bounds.top) / bounds.height * h];
      to.forEach((pixel, a) => { place[frame.axes[a]] = frame.origin[a] - pixel * frame.pixel; });
      draw();
    };
    picture.addEventListener("pointerdown", (event) => { picture.setPointerCapture(event.pointerId); point(event, true); });
    picture.addEventListener("pointermove", (event) => { if (event.buttons) point(event, false); });
    picture.addEventListener("wheel", (event) => {
      if (document.activeElement !== picture) return;
      event.preventDefault();
      step(event.deltaY > 0 ? -1 : 1);
    }, { passive: false });
    picture.addEventListener("keydown", (event) => {
      const keys = { ArrowLeft: () => move(-1, 0), ArrowRight: () => move(1, 0), ArrowUp: () => move(0, -1), ArrowDown: () => move(0, 1),
        PageUp: () => step(1), PageDown: () => step(-1) };
      if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
    });

    function paint(pair) {
      const slice = sliceOf(frame), context = canvas.getContext("2d");
      const picture = context.createImageData(frame.width, frame.height);
      const [[x0, w], [y0, h]] = shown();
      pair.forEach((layer, side) => {
        const greys = values(layer, i), [low, high] = windows[layer.kind], start = slice * frame.height;
        const from = side ? Math.round(frame.width * cut / 100) : 0, to = side ? frame.width : Math.round(frame.width * cut / 100);
        for (let y = 0; y < frame.height; y++) {
          const row = (start + Math.floor(y0 + (y + 0.5) / frame.height * h)) * frame.width;
          for (let x = from; x < to; x++) {
            const column = mirrored() ? frame.width - 1 - x : x;
            const grey = greys[row + Math.floor(x0 + (column + 0.5) / frame.width * w)] / 255;
            const v = 3 * Math.round(255 * Math.min(1, Math.max(0, (grey - low) / (high - low))));
            const p = 4 * (y * frame.width + x);
            for (let c = 0; c < 3; c++) picture.data[p + c] = layer.colours[v + c];
            picture.data[p + 3] = 255;
          }
        }
      });
      context.putImageData(picture, 0, 0);
      const [px, py] = pixelOf(frame), share = (px - x0) / w;
      across.style.top = 100 * (py - y0) / h + "%";
      down.style.left = 100 * (mirrored() ? 1 - share : share) + "%";
      divider.style.left = cut + "%";
      const [l, r, n, s] = frame.edges;
      [marks.w.textContent, marks.e.textContent] = mirrored() ? [r, l] : [l, r];
      [marks.n.textContent, marks.s.textContent] = [n, s];
      const width = w * frame.pixel, power = 10 ** Math.floor(Math.log10(width / 3));
      const long = ([5, 2, 1].find((factor) => factor * power <= width / 3 * 1.0001) || 1) * power;
      scale.style.width = 100 * long / width + "%";
      scale.textContent = Number(long.toPrecision(3)) + " mm";
      [leftTag.textContent, rightTag.textContent] = pair.map((layer) => layer.name);
      slider.value = slice;
      const mm = frame.depths[slice];
      readout.textContent = `${slice + 1} of ${frame.depths.length}`;
      slider.setAttribute("aria-valuetext", `slice ${slice + 1} of ${frame.depths.length}, ${mm.toFixed(1)} mm`);
      for (const layer of layers) {
        const image = layer.images[i];
        image.style.objectPosition = "0 " + 100 * slice / Math.max(1, frame.depths.length - 1) + "%";
        const [w, e] = ["w", "e"].map((side) => image.parentElement.querySelector("." + side));
        [w.textContent, e.textContent] = mirrored() ? [r, l] : [l, r];
        image.style.transform = mirrored() ? "scaleX(-1)" : "";
      }
    }
    return { element, paint };
  });

  const legends = [0, 1].map(() => {
    const gradient = make("i", {}), [from, name, to] = [make("span", {}), make("strong", {}), make("span", {})];
    return { element: make("p", { className: "bar" }, name, from, gradient, to), gradient, from, name, to };
  });
  const where = make("p", { className: "where", data: { "aria-live": "polite" } });
  const viewer = make("div", { className: "viewer" },
    make("div", { className: "controls" }, leftLabel, rightLabel, swap, closer, further, convention, all, reset),
    make("div", { className: "stages" }, ...stages.map((stage) => stage.element)),
    make("div", { className: "controls" }, lineLabel, blackLabel, whiteLabel, mapsLabel),
    ...legends.map((legend) => legend.element), where);

  let waiting = false;
  function draw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; drawn(); });
  }
  function drawn() {
    const pair = [layers[left.value], layers[right.value]];
    stages.forEach((stage) => stage.paint(pair));
    legends.forEach((legend, side) => {
      const layer = pair[side], [low, high] = windows[layer.kind];
      const at = (share) => short(layer.stored[0] + share * (layer.stored[1] - layer.stored[0]));
      const stops = Array.from({ length: 17 }, (_, i) => 3 * Math.min(255, i * 16));
      legend.gradient.style.background = `linear-gradient(to right, ${stops.map((v) => `rgb(${layer.colours.slice(v, v + 3)})`).join(",")})`;
      legend.name.textContent = ["Left: ", "Right: "][side] + layer.name;
      [legend.from.textContent, legend.to.textContent] = [at(low), `${at(high)} ${layer.unit}`];
    });
    const mm = world.map((row) => row[0] * place[0] + row[1] * place[1] + row[2] * place[2] + row[3]);
    const sides = [["L", "R"], ["P", "A"], ["I", "S"]];
    where.textContent = (neurological ? "Neurological: the subject's left is on the left. " : "Radiological: the subject's left is on the right. ") +
      "Crosshair at " + mm.map((v, a) => `${sides[a][Number(v > 0)]} ${Math.abs(v).toFixed(1)}`).join(", ") + " mm: " +
      [...new Set(pair)].map((layer) => `${layer.name} ${valueOf(layer)}`).join(", ") + ".";
  }

  Promise.all(layers.flatMap((layer) => layer.images.map((image) => image.decode()))).then(() => {
    box.prepend(viewer);
    box.classList.add("live");
    drawn();
  });
}
