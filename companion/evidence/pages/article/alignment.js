"use strict";
// Where a stack of layers that halve really looks: the centre of mass of every output's receptive field, for filters
// that are constant over their support. The picture goes on beyond its border, so that only the layers are seen.

/** A convolution of stride 2, padding 1: how many outputs it has for n pixels, and what output o reads. */
function halving(kernel) {
  return {
    count: (n) => Math.floor((n + 2 - kernel) / 2) + 1,
    taps: (o) => Array.from({ length: kernel }, (_, k) => ({ tap: 2 * o - 1 + k, weight: 1 })),
  };
}

/** A continuous layer to half the size, rounded up: support of 4 pixels, tapered to zero at its edge. */
const continuousHalving = {
  count: (n) => Math.ceil(n / 2),
  taps: (o, n, m) => {
    const position = centred(o, n, m);
    const taps = [];
    for (let tap = Math.floor(position - 2) + 1; tap < position + 2; tap++) {
      taps.push({ tap, weight: 1 - Math.abs((tap - position) / 2) ** 3 });
    }
    return taps;
  },
};

const STACKS = [
  { name: "strided, kernel 3", layer: halving(3) },
  { name: "strided, kernel 4", layer: halving(4) },
  { name: "continuous, kernel 4", layer: continuousHalving },
];
const HALVINGS = 3;

/** The centres of all outputs of a stack on n pixels, in pixels. */
function centres(layer, n) {
  const counts = [n];
  for (let depth = 0; depth < HALVINGS; depth++) counts.push(layer.count(counts[depth]));
  const known = new Map();
  const received = (depth, o) => {
    if (depth === 0) return { mass: 1, moment: o };
    const key = `${depth} ${o}`;
    if (!known.has(key)) {
      const sum = { mass: 0, moment: 0 };
      for (const { tap, weight } of layer.taps(o, counts[depth - 1], counts[depth])) {
        const { mass, moment } = received(depth - 1, tap);
        sum.mass += weight * mass;
        sum.moment += weight * moment;
      }
      known.set(key, sum);
    }
    return known.get(key);
  };
  return Array.from({ length: counts[HALVINGS] }, (_, o) => {
    const { mass, moment } = received(HALVINGS, o);
    return moment / mass;
  });
}

/** The distances of all outputs from the middles of equal parts of the picture, where they are taken to lie. */
function displacements(layer, n) {
  const found = centres(layer, n);
  return found.map((at, o) => Math.abs(at - centred(o, n, found.length)));
}

(() => {
  const root = document.getElementById("alignment");
  const slider = root.querySelector("input");
  const NAMESPACE = "http://www.w3.org/2000/svg";
  const ROW = 58; // pixels

  function add(parent, name, attributes, text = "") {
    const element = document.createElementNS(NAMESPACE, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.textContent = text;
    parent.append(element);
    return element;
  }

  function draw() {
    const n = Number(slider.value);
    const svg = root.querySelector("svg");
    const width = svg.clientWidth;
    if (width < 100) return; // not laid out yet
    const unit = (width - 16) / (n + 6);
    const at = (position) => 8 + (position + 3.5) * unit;
    svg.setAttribute("viewBox", `0 0 ${width} ${34 + STACKS.length * ROW}`);
    svg.replaceChildren();
    for (let pixel = 0; pixel < n; pixel++) {
      add(svg, "rect", { x: at(pixel - 0.5), y: 4, width: unit - 1, height: 12, class: "pixel" });
    }
    const means = STACKS.map(({ name, layer }, row) => {
      const y = 34 + row * ROW;
      const found = centres(layer, n);
      const off = displacements(layer, n);
      const mean = off.reduce((total, distance) => total + distance, 0) / off.length;
      add(svg, "text", { x: 8, y }, `${name}: ${mean.toFixed(2)} px off on average`);
      found.forEach((centre, o) => {
        const expected = centred(o, n, found.length);
        const line = { x1: at(expected), x2: at(centre), y1: y + 18, y2: y + 18 };
        add(svg, "line", line);
        add(svg, "circle", { cx: at(expected), cy: y + 18, r: 7, class: "nominal" });
        add(svg, "circle", { cx: at(centre), cy: y + 18, r: 4, class: name.startsWith("cont") ? "ours" : "theirs" });
      });
      return `${name} ${mean.toFixed(2)}`;
    });
    root.querySelector("output").textContent = `${n} pixels`;
    slider.setAttribute("aria-valuetext", `${n} pixels`);
    svg.setAttribute("aria-label", `Mean displacement in pixels for an input of ${n}: ${means.join(", ")}.`);
  }

  slider.addEventListener("input", draw);
  new ResizeObserver(draw).observe(root);
})();
