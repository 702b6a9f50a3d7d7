// The board of board.py. A cell is 80 units wide and high.
const CELL = 80;
const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

function element(name, attributes = {}, words = "") {
  const found = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) found.setAttribute(key, value);
  found.textContent = words;
  return found;
}

function render({ model, el }) {
  const svg = element("svg", { role: "group", style: "display:block;width:100%;touch-action:none" });
  el.style.maxWidth = "22rem";
  el.append(svg);
  let focused = {}; // the piece that has the keyboard
  let drawing = false;

  const limits = () => [model.get("rows"), model.get("columns")];

  function drop(name, row, column) {
    const [rows, columns] = limits();
    if (row < 0 || column < 0 || row >= rows || column >= columns) return draw();
    const turn = (model.get("move").turn || 0) + 1;
    model.set("move", { name, row, column, turn });
    model.save_changes();
    draw();
  }

  function place(event) {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(
      svg.getScreenCTM().inverse(),
    );
    return [at.x, at.y];
  }

  function grid() {
    const [rows, columns] = limits();
    svg.setAttribute("viewBox", `-1 -1 ${columns * CELL + 2} ${rows * CELL + 2}`);
    svg.setAttribute("aria-label", model.get("label"));
    for (let cell = 0; cell < rows * columns; cell++) {
      const [x, y] = [(cell % columns) * CELL, Math.floor(cell / columns) * CELL];
      const box = { x, y, width: CELL, height: CELL, fill: "white", stroke: "#b0b0b0" };
      svg.append(element("rect", box));
      const words = model.get("labels")[cell] || "";
      svg.append(element("text", { x: x + 4, y: y + 13, "font-size": 11, fill: "#555" }, words));
    }
  }

  function draggable(node, piece) {
    let from = null;
    node.addEventListener("pointerdown", (event) => {
      from = place(event);
      node.setPointerCapture(event.pointerId);
      node.style.cursor = "grabbing";
      if (model.get("ghostly")) node.setAttribute("opacity", 0.5);
      event.preventDefault();
      node.focus();
    });
    node.addEventListener("pointermove", (event) => {
      if (!from) return;
      const [x, y] = place(event);
      node.setAttribute("transform", `translate(${x - from[0]},${y - from[1]})`);
    });
    node.addEventListener("pointerup", (event) => {
      if (!from) return;
      const [x, y] = place(event);
      from = null;
      drop(piece.name, Math.floor(y / CELL), Math.floor(x / CELL));
    });
    node.addEventListener("pointercancel", draw);
    node.addEventListener("keydown", (event) => {
      if (!(event.key in ARROWS)) return;
      event.preventDefault();
      const [down, right] = ARROWS[event.key];
      if (model.get("ghostly")) focused = { name: piece.name, ghost: true };
      drop(piece.name, piece.row + down, piece.column + right);
    });
    node.addEventListener("focus", () => {
      if (!drawing) focused = { name: piece.name, ghost: piece.ghost };
    });
  }

  function draw() {
    const had = svg.contains(svg.getRootNode().activeElement);
    let next = null; // the piece itself, or the object of a ghost that is gone
    drawing = true;
    svg.replaceChildren();
    grid();
    for (const piece of model.get("pieces")) {
      const [x, y] = [(piece.column + 0.5) * CELL, (piece.row + 0.5) * CELL];
      const what = piece.ghost ? `the word ${piece.name} is told` : piece.name;
      const node = element("g", {
        tabindex: 0,
        role: "button",
        "aria-label": `${what}: row ${piece.row}, column ${piece.column}. Arrow keys move it.`,
        style: "cursor:grab;outline-offset:2px",
      });
      if (piece.ghost) {
        const ring = { cx: x, cy: y, r: 36, fill: "white", "fill-opacity": 0.01 };
        const line = { stroke: piece.color, "stroke-width": 3, "stroke-dasharray": "7 5" };
        node.append(element("circle", { ...ring, ...line }));
      }
      const side = model.get("labels").length ? 52 : 64; // room for the cell's label
      const top = y + 32 - side;
      const box = { x: x - side / 2, y: top, width: side, height: side, href: piece.image };
      node.append(element("image", piece.ghost ? { ...box, opacity: 0.5 } : box));
      draggable(node, piece);
      svg.append(node);
      if (focused.name === piece.name && (!next || focused.ghost === piece.ghost)) next = node;
    }
    if (had && next) next.focus();
    drawing = false;
  }

  for (const name of ["pieces", "labels", "rows", "columns", "label"]) {
    model.on(`change:${name}`, draw);
  }
  draw();
}

export default { render };
