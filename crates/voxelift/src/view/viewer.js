"use strict";
(async () => {
  const at = (id) => document.getElementById(id);
  const stage = at("stage");
  const alarm = (text) => {
    const paragraph = document.createElement("p");
    paragraph.setAttribute("role", "alert");
    paragraph.textContent = text;
    stage.replaceChildren(paragraph);
  };
  if (!document.createElement("canvas").getContext("webgl2")) {
    alarm("This browser offers no WebGL 2, which the viewer draws with. Another browser, or graphics acceleration switched on in its " +
      "settings, may help; `voxelift report` makes a page that needs none.");
    for (const unused of document.querySelectorAll(".controls, #where, #convention")) unused.hidden = true;
    return;
  }
  const volumes = await (await fetch("gallery.json")).json();
  // More pictures than this would take the browser's last drawing context.
  const most = 8;
  const short = (value) => value.toFixed(Math.abs(value) >= 100 || value === 0 ? 0 : Math.abs(value) >= 1 ? 1 : 3);
  const maps = {
    signed: { R: [90, 0, 255], G: [175, 0, 128], B: [255, 0, 40], A: [255, 255, 255], I: [0, 128, 255] },
    // Laid over a picture: zero does not hide it.
    more: { R: [255, 255, 255], G: [128, 128, 150], B: [40, 40, 60], A: [0, 255, 255], I: [0, 1, 255] },
    less: { R: [90, 90, 110], G: [175, 175, 190], B: [255, 255, 255], A: [0, 255, 255], I: [0, 1, 255] },
    heat: { R: [200, 200, 249, 252], G: [60, 60, 142, 255], B: [70, 70, 9, 164], A: [0, 255, 255, 255], I: [0, 1, 150, 255] },
  };

  let mode = "side", waiting = 0;
  const viewers = [];
  for (const [i, volume] of volumes.entries()) {
    const figure = document.createElement("figure"), caption = document.createElement("figcaption");
    const name = document.createElement("span"), detail = document.createElement("small");
    name.textContent = volume.name;
    detail.textContent = volume.extent.join(" x ") + " voxels of " + volume.spacing_mm.map((mm) => Number(mm.toFixed(3))).join(" x ") + " mm";
    caption.append(name, detail);
    const picture = document.createElement("div"), canvas = document.createElement("canvas");
    picture.className = "picture";
    canvas.setAttribute("aria-label", volume.name + ": the mouse, the arrow keys, Page Up and Page Down move the crosshair; plus, minus and 0 zoom");
    canvas.setAttribute("role", "application");
    canvas.tabIndex = 0;
    // Only the picture that has the focus moves and zooms the others.
    for (const kind of ["pointerdown", "mousedown", "touchstart", "wheel"]) {
      canvas.addEventListener(kind, () => canvas.focus({ preventScroll: true }), { capture: true, passive: true });
    }
    picture.append(canvas);
    figure.append(caption, picture);
    figure.hidden = i >= 4;
    const viewer = { volume, figure, canvas, title: name, nv: null, overlaid: null };
    canvas.addEventListener("keydown", (event) => pressed(viewer, event), { capture: true });
    canvas.addEventListener("keyup", (event) => event.stopImmediatePropagation(), { capture: true });
    viewers.push(viewer);
  }
  stage.replaceChildren(...viewers.map((viewer) => viewer.figure));

  async function opened(viewer) {
    if (viewer.nv) return;
    const nv = new niivue.Niivue({
      isRadiologicalConvention: at("neurological").getAttribute("aria-pressed") !== "true",
      isColorbar: true, isRuler: false, show3Dcrosshair: true, loadingText: "loading", backColor: [0, 0, 0, 1],
      crosshairColor: [1, 0.85, 0.3, 0.6], crosshairWidth: 0.5, crosshairWidthUnit: "mm", sagittalNoseLeft: true, showAllOrientationMarkers: true, fontColor: [0.95, 0.95, 0.95, 1], fontMinPx: 15,
      multiplanarPadPixels: 8, isNearestInterpolation: at("smooth").getAttribute("aria-pressed") !== "true",
      multiplanarShowRender: 0, isCornerOrientationText: false, logLevel: "silent",
    });
    viewer.nv = nv;
    drawnVisibly(nv, viewer.canvas);
    await nv.attachToCanvas(viewer.canvas);
    for (const [key, map] of Object.entries(maps)) nv.addColormap(key, map);
    const { url, name, colours, window } = viewer.volume;
    await nv.loadVolumes([{ url, name: name + ".nii", colormap: colours, cal_min: window[0], cal_max: window[1] }]);
    nv.setSliceType(Number(at("planes").value));
    nv.onLocationChange = (place) => tell(viewer, place);
  }
  // The crosshair is a bar in space, as thick as is said in mm: thinner than a pixel it falls between pixels and is gone.
  function drawnVisibly(nv, canvas) {
    const draw = nv.drawScene.bind(nv);
    nv.drawScene = () => {
      if (!canvas.clientWidth) return;
      draw();
      const planes = nv.screenSlices.filter(({ axCorSag, fovMM }) => axCorSag < 3 && fovMM[0]);
      const mm = planes.map(({ leftTopWidthHeight, fovMM }) => Math.abs(fovMM[0]) / leftTopWidthHeight[2]);
      const width = (1.6 * devicePixelRatio * mm.reduce((sum, one) => sum + one, 0)) / mm.length;
      if (!(width > 0) || Math.abs(width / nv.opts.crosshairWidth - 1) < 0.02) return;
      nv.opts.crosshairWidth = width;
      if (nv.crosshairs3D) nv.crosshairs3D.mm[0] = NaN;
      draw();
    };
  }
  function zoomed(by) {
    for (const { nv } of shown()) {
      const [x, y, z, zoom] = nv.scene.pan2Dxyzmm;
      nv.setPan2Dxyzmm(by ? [x, y, z, Math.min(16, Math.max(1, zoom * by))] : [0, 0, 0, 1]);
    }
  }
  // In the plane that is shown (the axial, where all are): the arrows move within it, Page Up and Page Down across it.
  function pressed(viewer, event) {
    // Keys of the drawing library that this page has no word for do nothing.
    event.stopImmediatePropagation();
    if (!viewer.nv || event.ctrlKey || event.metaKey || event.altKey) return;
    const zoom = { "+": 1.25, "=": 1.25, "-": 0.8, 0: null }[event.key];
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowDown: [1, -1], ArrowUp: [1, 1], PageDown: [2, -1], PageUp: [2, 1] }[event.key];
    if (zoom === undefined && !steps) return;
    event.preventDefault();
    if (!steps) return zoomed(zoom);
    const [across, by] = steps;
    const plane = Number(at("planes").value);
    const axis = (plane === 1 ? [0, 2, 1] : plane === 2 ? [1, 2, 0] : [0, 1, 2])[across];
    // On the screen the subject's left is on the right in the radiological view, and the nose of a sagittal plane on the left.
    const turned = across === 0 && (axis === 1 || at("neurological").getAttribute("aria-pressed") !== "true");
    const move = [0, 0, 0];
    move[axis] = turned ? -by : by;
    viewer.nv.moveCrosshairInVox(...move);
  }
  let linking = false;
  function tell(viewer, place) {
    if (linking) return;
    const [x, y, z] = place.mm;
    // The crosshair goes to the same place of the world in every picture.
    linking = true;
    for (const other of shown()) {
      if (other === viewer) continue;
      other.nv.scene.crosshairPos = other.nv.mm2frac([x, y, z]);
      other.nv.drawScene();
    }
    linking = false;
    const side = (value, letters) => letters[Number(value > 0)] + " " + Math.abs(value).toFixed(1);
    const values = shown().map((other) => {
      // The voxel of each volume's own grid that is nearest in the world.
      const spot = other.nv.volumes[0].mm2vox([x, y, z]);
      const inside = [0, 1, 2].every((a) => spot[a] >= 0 && spot[a] < other.volume.extent[a]);
      return other.volume.name + " " + (inside ? short(other.nv.volumes[0].getValue(spot[0], spot[1], spot[2])) : "outside");
    });
    at("where").textContent = `${side(x, "LR")}, ${side(y, "PA")}, ${side(z, "IS")} mm: ` + values.join(" · ");
  }
  const shown = () => viewers.filter((viewer) => !viewer.figure.hidden && viewer.nv && viewer.nv.volumes.length);
  const pair = () => [viewers[at("first").value], viewers[at("second").value]];

  async function layOut() {
    const turn = ++waiting;
    const wanted = mode === "side" ? viewers.filter((viewer) => viewer.box.checked) : mode === "line" ? pair() : pair().slice(0, 1);
    for (const viewer of viewers) {
      viewer.figure.hidden = !wanted.includes(viewer);
      viewer.figure.classList.toggle("second", mode === "line" && viewer === wanted[1] && wanted[0] !== wanted[1]);
    }
    stage.classList.toggle("pair", mode === "line");
    stage.style.setProperty("--columns", wanted.length < 2 ? 1 : wanted.length > 4 ? 3 : 2);
    for (const viewer of wanted) await opened(viewer);
    if (turn !== waiting) return;
    // What lay over the first volume of an earlier pair goes; what is to lie there comes.
    for (const viewer of viewers) {
      const over = mode === "over" && viewer === wanted[0] ? pair()[1] : null;
      if (viewer.overlaid && viewer.overlaid !== over) {
        viewer.nv.removeVolume(viewer.nv.volumes[1]);
        viewer.overlaid = null;
      }
      if (over && viewer.overlaid !== over && over !== viewer) {
        const { url, name, colours, window } = over.volume;
        viewer.overlaid = over;
        const file = { url, name: name + ".nii", opacity: at("mix").value / 100 };
        // Of maps, what is below a quarter of the window is translucent, the more so the less it is.
        const [low, high] = window, full = high / 4;
        const colormap = { signed: "more", inferno: "heat" }[colours] || colours;
        const volume = await viewer.nv.addVolumeFromUrl({ ...file, colormap, cal_min: low, cal_max: high });
        if (colours !== "gray") {
          Object.assign(volume, { colormapType: 1, cal_min: full });
          if (colours === "signed") Object.assign(volume, { colormapNegative: "less", cal_minNeg: -high, cal_maxNeg: -full });
          viewer.nv.updateGLVolume();
        }
      }
    }
    for (const viewer of viewers) viewer.title.textContent = viewer.volume.name + (viewer.overlaid ? ", over it " + viewer.overlaid.volume.name : "");
    const live = shown();
    for (const viewer of live) viewer.nv.broadcastTo(live.filter((other) => other !== viewer).map((other) => other.nv), { "2d": true, "3d": true });
    mix();
    windowed();
    window.dispatchEvent(new Event("resize"));
    document.body.dataset.ready = "yes";
  }
  function mix() {
    const share = Number(at("mix").value);
    stage.style.setProperty("--cut", share + "%");
    const [first] = pair();
    if (mode === "over" && first.overlaid) first.nv.setOpacity(1, share / 100);
  }
  const images = volumes.filter((volume) => volume.colours === "gray");
  const [low, high] = images.length ? images[0].window : [0, 1];
  function windowed() {
    const [black, white] = ["black", "white"].map((id) => low + Number(at(id).value) * (high - low));
    at("window").textContent = `${short(black)} to ${short(Math.max(white, black))} (units of the scan)`;
    for (const viewer of viewers) {
      if (!viewer.nv || viewer.figure.hidden) continue;
      for (const volume of viewer.nv.volumes) {
        if (volume.colormap !== "gray") continue;
        volume.cal_min = black;
        volume.cal_max = Math.max(white, black + (high - low) * 0.005);
      }
      if (viewer.nv.volumes.length) viewer.nv.updateGLVolume();
    }
  }
  const toggle = (id, heard) => at(id).addEventListener("click", () => {
    const on = at(id).getAttribute("aria-pressed") !== "true";
    at(id).setAttribute("aria-pressed", on);
    heard(on);
  });
  const told = (neurological) => {
    at("convention").textContent = neurological ? "Neurological: the subject's left is on the left." : "Radiological: the subject's left is on the right.";
  };

  for (const [i, viewer] of viewers.entries()) {
    const label = document.createElement("label"), box = document.createElement("input");
    box.type = "checkbox";
    box.checked = i < 4;
    box.addEventListener("change", () => {
      if (viewers.filter((other) => other.box.checked).length > most) box.checked = false;
      layOut();
    });
    label.append(box, viewer.volume.name);
    at("chosen").append(label);
    viewer.box = box;
    for (const id of ["first", "second"]) at(id).append(new Option(viewer.volume.name, i));
  }
  // To begin with, the line is between an output and what stands before it, and what lies over it is its first map.
  const map = volumes.findIndex((volume, i) => i > 0 && volume.colours !== "gray");
  const output = (map > 0 ? map : Math.min(3, volumes.length)) - 1;
  const line = [Math.max(0, output - 1), output];
  const pairs = { line, over: map > 0 ? [output, map] : [...line] };
  for (const [i, id] of ["first", "second"].entries()) {
    at(id).addEventListener("change", () => {
      pairs[mode][i] = Number(at(id).value);
      layOut();
    });
  }
  const choose = (wanted) => {
    mode = wanted;
    for (const id of ["side", "line", "over"]) at(id).setAttribute("aria-pressed", id === mode);
    at("pair").hidden = mode === "side";
    at("chosen").hidden = mode !== "side";
    if (mode !== "side") for (const [i, id] of ["first", "second"].entries()) at(id).value = pairs[mode][i];
    at("overlaid").hidden = mode !== "over";
    at("mixName").textContent = mode === "line" ? "Line" : "Opacity of the second";
    layOut();
  };
  for (const id of ["side", "line", "over"]) at(id).addEventListener("click", () => choose(id));
  at("mix").addEventListener("input", mix);
  for (const id of ["black", "white"]) at(id).addEventListener("input", windowed);
  at("planes").addEventListener("change", () => shown().forEach((viewer) => viewer.nv.setSliceType(Number(at("planes").value))));
  toggle("neurological", (on) => {
    viewers.forEach((viewer) => viewer.nv && viewer.nv.setRadiologicalConvention(!on));
    told(on);
  });
  toggle("smooth", (on) => viewers.forEach((viewer) => viewer.nv && viewer.nv.setInterpolation(!on)));
  at("reset").addEventListener("click", () => {
    at("black").value = 0;
    at("white").value = 1;
    zoomed(null);
    for (const { nv } of shown()) {
      nv.scene.crosshairPos = [0.5, 0.5, 0.5];
      nv.drawScene();
    }
    windowed();
  });
  told(false);
  try {
    await layOut();
  } catch (error) {
    alarm("The viewer could not draw: " + error.message);
  }
})();
