"use strict";
// The first figure of the article: a picture, the outputs laid over it, the taps of one of them and the filter.

(() => {
  const root = document.getElementById("idea");
  const part = (name) => root.querySelector(`[data-part="${name}"]`);
  const WINDOW = 14; // pixels of the picture that the grid shows on each axis
  const OWN_SIDE = 128; // pixels that a picture of the reader's own is reduced to
  const LEAST = 0.3;
  const MOST = 3;

  /** The picture: planes of red, green and blue in [0, 1]. */
  let picture = { side: 0, planes: [] };
  let place = [0.45, 0.45]; // what is explained, as shares of the picture's height and width
  let chosen = [0, 0]; // the output there: row, column
  let corner = [0, 0]; // the first pixel that the grid shows
  let shown; // what the last drawing computed

  const sliders = { both: part("both"), height: part("height"), width: part("width") };
  const outputs = (slider) => Math.max(1, Math.round(Number(slider.value) * picture.side));

  function color(name) {
    return getComputedStyle(root).getPropertyValue(`--${name}`).trim();
  }

  /** A canvas as sharp as the screen, and its size in CSS pixels. */
  function prepared(canvas) {
    const ratio = window.devicePixelRatio || 1;
    const { width, height } = canvas.getBoundingClientRect();
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    context.clearRect(0, 0, width, height);
    return { context, width, height };
  }

  /** Planes as an image whose pixels can be drawn at any size. */
  function bitmap(planes, height, width) {
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = height;
    const image = new ImageData(width, height); // clamps what it is given
    image.data.fill(255);
    planes.forEach((plane, channel) => {
      for (let at = 0; at < height * width; at++) image.data[4 * at + channel] = 255 * plane[at];
    });
    canvas.getContext("2d").putImageData(image, 0, 0);
    return canvas;
  }

  function drawPixels(canvas, planes, height, width) {
    const { context, width: across, height: down } = prepared(canvas);
    context.imageSmoothingEnabled = false;
    context.drawImage(bitmap(planes, height, width), 0, 0, across, down);
    return { context, across, down };
  }

  /** The picture under the outputs: their positions, and the taps of the chosen one, as strong as their weights. */
  function drawGrid() {
    const { context, width: side } = prepared(part("grid"));
    const pixel = side / Math.min(WINDOW, picture.side);
    const at = (position, axis) => (position - corner[axis] + 0.5) * pixel;
    context.imageSmoothingEnabled = false;
    const [top, left] = corner;
    const count = Math.min(WINDOW, picture.side);
    context.drawImage(shown.source, left, top, count, count, 0, 0, side, side);
    context.fillStyle = color("veil");
    context.fillRect(0, 0, side, side);
    const [row, column] = [shown.rows[chosen[0]], shown.columns[chosen[1]]];
    const largest = Math.max(...row.weights) * Math.max(...column.weights);
    row.weights.forEach((vertical, k) => {
      column.weights.forEach((horizontal, l) => {
        const weight = (vertical * horizontal) / largest;
        const size = pixel * (0.2 + 0.75 * Math.sqrt(Math.abs(weight)));
        context.fillStyle = color(weight < 0 ? "minus" : "plus");
        context.globalAlpha = 0.25 + 0.6 * Math.min(1, Math.abs(weight));
        context.fillRect(at(column.first + l, 1) - size / 2, at(row.first + k, 0) - size / 2, size, size);
      });
    });
    context.globalAlpha = 1;
    const apart = pixel * Math.min(picture.side / shown.rows.length, picture.side / shown.columns.length);
    const radius = Math.min(3, 0.18 * apart + 0.3);
    context.fillStyle = color("dot");
    context.strokeStyle = color("rim");
    for (const { position: y } of shown.rows) {
      for (const { position: x } of shown.columns) {
        const [atX, atY] = [at(x, 1), at(y, 0)];
        if (atX < -4 || atY < -4 || atX > side + 4 || atY > side + 4) continue;
        context.beginPath();
        context.arc(atX, atY, radius, 0, 2 * Math.PI);
        context.fill();
        if (radius > 2) context.stroke();
      }
    }
    context.lineWidth = 2.5;
    context.strokeStyle = color("chosen");
    context.beginPath();
    context.arc(at(column.position, 1), at(row.position, 0), Math.max(7, 1.6 * radius), 0, 2 * Math.PI);
    context.stroke();
  }

  /** The filter along the columns, and what the chosen output reads of it. */
  function drawFilter() {
    const { context, width, height } = prepared(part("filter"));
    const { position, first, weights } = shown.columns[chosen[1]];
    const unit = Math.max(1, picture.side / shown.columns.length); // of the filter, in pixels
    const reach = 2 * Math.max(2, unit) + 0.5;
    const at = (offset) => width / 2 + (offset / reach) * (width / 2 - 6);
    const level = (value) => height * 0.74 - value * height * 0.62;
    context.strokeStyle = color("line");
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(0, level(0));
    context.lineTo(width, level(0));
    context.stroke();
    context.strokeStyle = color("plus");
    context.lineWidth = 2;
    context.beginPath();
    for (let x = 0; x <= width; x++) {
      const offset = ((x - width / 2) / (width / 2 - 6)) * reach;
      context.lineTo(x, level(cubic(offset / unit)));
    }
    context.stroke();
    context.fillStyle = color("muted");
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "center";
    const step = Math.ceil(reach / 6); // pixels between two marks
    for (let mark = -step * Math.floor(reach / step); mark <= reach; mark += step) {
      context.fillText(mark === 0 ? "0 pixels" : String(mark).replace("-", "−"), at(mark), height - 5);
    }
    weights.forEach((_, k) => {
      const offset = first + k - position;
      const value = cubic(offset / unit);
      context.strokeStyle = context.fillStyle = color(value < 0 ? "minus" : "plus");
      context.lineWidth = 1.5;
      context.beginPath();
      context.moveTo(at(offset), level(0));
      context.lineTo(at(offset), level(value));
      context.stroke();
      context.beginPath();
      context.arc(at(offset), level(value), 4, 0, 2 * Math.PI);
      context.fill();
    });
  }

  function say() {
    const [row, column] = [shown.rows[chosen[0]], shown.columns[chosen[1]]];
    const size = `${shown.rows.length} × ${shown.columns.length}`;
    part("continuous-size").textContent = size;
    const { rows, columns } = shown.strided;
    const off = Math.hypot(drift(rows, picture.side), drift(columns, picture.side));
    part("strided-size").textContent = `${rows.length} × ${columns.length}`;
    part("strided-drift").textContent = off < 0.005 ? "none at this size" : `${off.toFixed(2)} pixels on average`;
    const taps = row.weights.length * column.weights.length;
    part("sum").textContent =
      `Output (${chosen[0]}, ${chosen[1]}) of ${size} lies at pixel (${row.position.toFixed(2)}, ` +
      `${column.position.toFixed(2)}) and sums ${taps} taps.`;
    for (const [name, axis] of [["height", 0], ["width", 1]]) {
      const count = [shown.rows, shown.columns][axis].length;
      part(`${name}-value`).textContent = `${count} (× ${(count / picture.side).toFixed(2)})`;
      sliders[name].setAttribute("aria-valuetext", `${count} pixels`);
    }
    const same = sliders.height.value === sliders.width.value;
    const both = Number(sliders.both.value).toFixed(2);
    sliders.both.setAttribute("aria-valuetext", same ? `times ${both}` : "height and width differ");
    part("both-value").textContent = same ? `× ${both}` : "–";
  }

  function draw() {
    const { side, planes } = picture;
    const [height, width] = [outputs(sliders.height), outputs(sliders.width)];
    const [rows, columns] = [axis(side, height), axis(side, width)];
    const strided = { rows: stridedAxis(side, height), columns: stridedAxis(side, width) };
    chosen = [height, width].map((count, axis) => Math.min(Math.floor(place[axis] * count), count - 1));
    shown = { rows, columns, strided, source: bitmap(planes, side, side) };
    const { context, across, down } = drawPixels(part("continuous"), resized(planes, side, side, rows, columns), height, width);
    context.lineWidth = 2;
    context.strokeStyle = color("chosen");
    const [tall, wide] = [down / height, across / width];
    context.strokeRect(chosen[1] * wide - 1, chosen[0] * tall - 1, wide + 2, tall + 2);
    const coarse = resized(planes, side, side, strided.rows, strided.columns);
    drawPixels(part("strided"), coarse, strided.rows.length, strided.columns.length);
    drawGrid();
    drawFilter();
    say();
  }

  const later = oncePerFrame(draw);

  /** Explain what lies at these shares of the picture; the grid shows the pixels about it, unless it stands still. */
  function explain(shares, still = false) {
    place = shares.map((share) => Math.min(Math.max(share, 0), 1));
    if (!still) {
      const count = Math.min(WINDOW, picture.side);
      corner = place.map((share) =>
        Math.min(Math.max(Math.floor(share * picture.side - count / 2), 0), picture.side - count),
      );
    }
    later();
  }

  sliders.both.addEventListener("input", () => {
    sliders.height.value = sliders.width.value = sliders.both.value;
    later();
  });
  for (const name of ["height", "width"]) sliders[name].addEventListener("input", later);

  function pointed(event, canvas) {
    const box = canvas.getBoundingClientRect();
    return [(event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width];
  }

  for (const name of ["continuous", "grid"]) {
    const canvas = part(name);
    const at = (event) => {
      const [down, across] = pointed(event, canvas);
      const count = Math.min(WINDOW, picture.side);
      if (name === "continuous") explain([down, across]);
      else explain([down, across].map((share, axis) => (corner[axis] + share * count) / picture.side), true);
    };
    canvas.addEventListener("pointermove", at);
    canvas.addEventListener("pointerdown", at);
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (!step) return;
      event.preventDefault();
      const counts = [shown.rows.length, shown.columns.length];
      explain(chosen.map((at, axis) => (at + step[axis] + 0.5) / counts[axis]));
    });
  }

  /** Take an image or a bitmap as the picture, its middle square reduced to at most `most` pixels a side. */
  function take(image, most) {
    const [width, height] = [image.naturalWidth || image.width, image.naturalHeight || image.height];
    const square = Math.min(width, height);
    const side = Math.min(square, most);
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = side;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.imageSmoothingQuality = "high";
    context.drawImage(image, (width - square) / 2, (height - square) / 2, square, square, 0, 0, side, side);
    const { data } = context.getImageData(0, 0, side, side);
    const planes = [0, 1, 2].map((plane) => Float32Array.from({ length: side * side }, (_, at) => data[4 * at + plane] / 255));
    picture = { side, planes };
    explain(place);
  }

  async function open(file) {
    const words = part("message");
    try {
      const image = await createImageBitmap(file, { imageOrientation: "from-image" });
      take(image, OWN_SIDE);
      words.textContent = `Your picture, its middle reduced to ${picture.side} × ${picture.side} pixels. It stays in this page.`;
    } catch (error) {
      if (!(error instanceof DOMException)) throw error;
      words.textContent = `“${file.name}” is no picture that this browser can read; the one before stays.`;
    }
  }

  part("file").addEventListener("change", (event) => {
    if (event.target.files.length) open(event.target.files[0]);
  });
  root.addEventListener("dragover", (event) => event.preventDefault());
  root.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) open(event.dataTransfer.files[0]);
  });

  for (const slider of Object.values(sliders)) {
    slider.min = LEAST;
    slider.max = MOST;
    slider.step = 0.01;
  }
  sliders.both.value = sliders.height.value = sliders.width.value = 0.6;
  const source = part("source");
  const start = () => take(source, Infinity);
  if (source.complete) start();
  else source.addEventListener("load", start);
  new ResizeObserver(() => shown && later()).observe(root);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", later);
})();
