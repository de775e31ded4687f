// The page itself: what is folded, what is selected, and what keys and pointers do.

const graph = JSON.parse(byId("graph").textContent);
const canvas = new Canvas(byId("canvas"));
const FAMILIES = [...new Set(Object.values(graph.ops).map(({ family }) => family)), "port", "block"];
const BIG = 26;

const blockOf = new Array(graph.nodes.length).fill(-1);
graph.blocks.forEach(([start, length], block) => blockOf.fill(block, start, start + length));
const maker = new Map();
graph.nodes.forEach(([, , , outputs], node) => outputs.forEach((value) => maker.set(value, node)));
// At first one turn of each repetition is unfolded: it shows what all of them are.
const folded = new Set([...graph.blocks.keys()].filter((block) => graph.nodes.length > BIG && graph.blocks[block][2] > 1));
let selected = null; // {node} or {input} or {output} or {block}
let boxOfNode = [];

const cut = (text, length) => (text.length <= length ? text : `${text.slice(0, length - 1)}…`);

/** What a node does beyond its name: its constants and the options that are not the default. */
function more([op, , inputs, , options]) {
  const { operands, variadic } = graph.ops[op];
  const parts = [];
  inputs.forEach((value, place) => {
    const constant = graph.constants[value];
    if (constant === undefined) return;
    const name = variadic ? "" : `${operands[place]} `;
    const type = graph.values[value][2];
    parts.push(constant.text !== undefined && constant.count === 1 ? `${name}= ${constant.text}` : `${name}${type.slice(type.indexOf("["))}`);
  });
  for (const [name, text, isTold] of options) if (isTold) parts.push(`${name} ${text}`);
  return cut(parts.join(" · "), 44);
}

function build() {
  const boxes = [];
  const makers = new Map(); // value -> box
  const uses = new Map(); // value -> boxes
  const use = (value, box) => {
    if (value === null || graph.constants[value] !== undefined) return;
    if (!uses.has(value)) uses.set(value, new Set());
    uses.get(value).add(box);
  };
  const add = (box) => boxes.push(box) - 1;
  for (const value of graph.inputs) {
    const [name] = graph.values[value];
    makers.set(value, add({ pin: "top", family: "port", text: cut(name, 40), more: "", input: value }));
  }
  boxOfNode = [];
  graph.nodes.forEach((node, index) => {
    const block = blockOf[index];
    const isFolded = folded.has(block);
    if (!isFolded || graph.blocks[block][0] === index) {
      const run = block === -1 ? {} : { run: block - graph.blocks[block][2], turn: graph.blocks[block][2] };
      if (isFolded) {
        const [, length, number, count, title] = graph.blocks[block];
        add({ ...run, family: "block", text: `▸ ${title.length <= 34 ? title : `…${title.slice(-33)}`}`, more: `${number} of ${count} · ${length} operators`, block });
      } else {
        add({ ...run, family: graph.ops[node[0]].family, text: node[0], more: more(node), node: index, frame: block });
      }
    }
    const box = boxes.length - 1;
    boxOfNode.push(box);
    for (const value of node[3]) makers.set(value, box);
    for (const value of node[2]) if (makers.get(value) !== box) use(value, box);
  });
  graph.outputs.forEach(([name, value], output) => {
    const box = add({ pin: "bottom", family: "port", text: cut(name, 40), more: "", output });
    use(value, box);
  });
  const lines = [];
  for (const [value, to] of uses) {
    if (!makers.has(value)) continue;
    const text = cut(graph.values[value][2], 56);
    lines.push({ value, from: makers.get(value), to: [...to], text, textWidth: canvas.measure(text, `11px ${FONT}`) });
  }
  for (const box of boxes) {
    const wide = Math.max(canvas.measure(box.text, `600 13px ${FONT}`), canvas.measure(box.more, `11px ${FONT}`));
    box.w = Math.max(72, wide + (box.family === "port" ? 34 : 32));
    box.h = box.family === "port" ? 32 : box.more === "" ? 36 : 48;
  }
  // A label is as wide as a box: room for it, or neighbours would write over each other.
  const drawn = boxes.map((box) => box.w);
  for (const line of lines) boxes[line.from].w = Math.max(boxes[line.from].w, line.textWidth + 4);
  const bounds = layout(boxes, lines);
  boxes.forEach((box, index) => (box.w = drawn[index]));
  canvas.scene = { boxes, lines, frames: frames(boxes, lines, bounds), bounds };
}

/** Around each unfolded block. */
function frames(boxes, lines, bounds) {
  const found = new Map();
  for (const box of boxes) {
    if (box.frame === undefined || box.frame === -1) continue;
    const frame = found.get(box.frame) ?? { block: box.frame, left: Infinity, right: -Infinity, top: Infinity, bottom: -Infinity };
    frame.left = Math.min(frame.left, box.x - box.w / 2 - 30);
    frame.right = Math.max(frame.right, box.x + box.w / 2 + 30);
    frame.top = Math.min(frame.top, box.y - box.h / 2 - 34);
    frame.bottom = Math.max(frame.bottom, box.y + box.h / 2 + 28);
    found.set(box.frame, frame);
  }
  for (const frame of found.values()) {
    const [, , number, count, title] = graph.blocks[frame.block];
    frame.text = `▾ ${title} · ${number} of ${count}`;
    frame.headWidth = canvas.measure(frame.text, `600 12px ${FONT}`) + 28;
    frame.right = Math.max(frame.right, frame.left + frame.headWidth);
    bounds.left = Math.min(bounds.left, frame.left);
    bounds.right = Math.max(bounds.right, frame.right);
  }
  return [...found.values()];
}

/** Build again, with the box that is looked at where it was. */
function rebuild(anchor) {
  const before = anchor === undefined ? undefined : canvas.scene.boxes[boxOfNode[anchor]];
  const at = before && { x: before.x * canvas.view.k + canvas.view.x, y: before.y * canvas.view.k + canvas.view.y };
  build();
  const after = at && canvas.scene.boxes[boxOfNode[anchor]];
  if (after) {
    canvas.view.x = at.x - after.x * canvas.view.k;
    canvas.view.y = at.y - after.y * canvas.view.k;
  }
  byId("folds").textContent = folded.size > 0 ? "Unfold all" : "Fold all";
  mark();
  search(byId("query").value);
}

function fold(block, isFolded) {
  if (isFolded) folded.add(block);
  else folded.delete(block);
  if (selected?.block === block || (selected?.node !== undefined && blockOf[selected.node] === block)) selected = isFolded ? { block } : { node: graph.blocks[block][0] };
  rebuild(graph.blocks[block][0]);
  showSelected();
}

function foldAll() {
  if (folded.size > 0) folded.clear();
  else graph.blocks.forEach((_, block) => folded.add(block));
  if (selected?.block !== undefined) selected = null;
  rebuild();
  canvas.fit(true);
}

function boxOf(what) {
  if (what === null) return -1;
  if (what.node !== undefined) return boxOfNode[what.node];
  return canvas.scene.boxes.findIndex((box) => ["input", "output", "block"].some((key) => what[key] !== undefined && box[key] === what[key]));
}

function mark() {
  const box = boxOf(selected);
  canvas.marks.selected = new Set(box === -1 ? [] : [box]);
  canvas.draw();
}

function showSelected() {
  mark();
  if (selected === null) panel.hideDetail();
  else if (selected.node !== undefined) panel.show(selected.node);
  else if (selected.block !== undefined) panel.showBlock(graph.blocks[selected.block], () => fold(selected.block, false));
  else if (selected.input !== undefined) panel.showPort("Input", graph.values[selected.input][0], selected.input);
  else panel.showPort("Output", ...graph.outputs[selected.output]);
}

function select(what, isRevealed = true) {
  selected = what;
  if (what?.node !== undefined && folded.has(blockOf[what.node])) {
    folded.delete(blockOf[what.node]);
    rebuild(what.node);
  }
  showSelected();
  const box = canvas.scene.boxes[boxOf(what)];
  if (isRevealed && box) canvas.reveal(box);
}

const whatIs = (box) => {
  const { node, input, output, block } = canvas.scene.boxes[box];
  return node !== undefined ? { node } : input !== undefined ? { input } : output !== undefined ? { output } : { block };
};

let found = [];
let at = -1;

function search(text) {
  const query = text.trim().toLowerCase();
  const isOp = query.startsWith("op:");
  found = query === "" ? [] : [...graph.nodes.keys()].filter((node) => {
    const [op, label, inputs, outputs] = graph.nodes[node];
    if (isOp) return op.toLowerCase() === query.slice(3).trim();
    // Its own names and types and those of its weights; what it gets from others is theirs.
    const own = [...outputs, ...inputs.filter((value) => graph.constants[value] !== undefined)];
    const texts = [op, label, ...own.flatMap((value) => [graph.values[value][0], graph.values[value][2]])];
    return texts.some((part) => part.toLowerCase().includes(query));
  });
  at = -1;
  panel.matches(found, query !== "");
  canvas.marks.matches = query === "" ? null : new Set(found.map((node) => boxOfNode[node]));
  canvas.draw();
}

const panel = new Panel(graph, {
  goTo(value) {
    const input = graph.inputs.includes(value);
    if (input) select({ input: value });
    else if (maker.has(value)) select({ node: maker.get(value) });
  },
  search(text) {
    byId("query").value = byId("query").value === text ? "" : text;
    search(byId("query").value);
  },
  select: (node) => select({ node }),
});

/** Along the lines, or along the row. */
function walk(key) {
  const { boxes, lines } = canvas.scene;
  const from = boxOf(selected);
  if (from === -1) return select(whatIs(0));
  const here = boxes[from];
  const near = (candidates) => candidates.sort((a, b) => Math.abs(boxes[a].x - here.x) - Math.abs(boxes[b].x - here.x) || boxes[a].row - boxes[b].row)[0];
  let next;
  if (key === "ArrowDown") next = near(lines.filter((line) => line.from === from).flatMap((line) => line.to));
  else if (key === "ArrowUp") next = near(lines.filter((line) => line.to.includes(from)).map((line) => line.from));
  else {
    const isRight = key === "ArrowRight";
    next = near([...boxes.keys()].filter((box) => boxes[box].row === here.row && (isRight ? boxes[box].x > here.x : boxes[box].x < here.x)));
  }
  if (next !== undefined) select(whatIs(next));
}

function setTheme() {
  const root = document.documentElement;
  const isDark = root.dataset.theme === undefined ? matchMedia("(prefers-color-scheme: dark)").matches : root.dataset.theme === "dark";
  root.dataset.theme = isDark ? "light" : "dark";
  canvas.readColours(FAMILIES);
}

function centreZoom(factor) {
  canvas.zoomAt(canvas.element.clientWidth / 2, canvas.element.clientHeight / 2, factor);
}

const KEYS = {
  "/": () => byId("query").focus(),
  f: () => canvas.fit(),
  "+": () => centreZoom(1.25),
  "=": () => centreZoom(1.25),
  "-": () => centreZoom(0.8),
  e: () => graph.blocks.length > 0 && foldAll(),
  t: setTheme,
  "?": () => byId("keys").showModal(),
  Escape: () => select(null),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("keys").open) return;
  if (event.target === byId("query")) {
    if (event.key === "Enter" && found.length > 0) {
      at = (at + (event.shiftKey ? found.length - 1 : 1)) % found.length;
      const query = [found, at];
      select({ node: found[at] });
      [found, at] = query;
    } else if (event.key === "Escape") {
      byId("query").value = "";
      search("");
      canvas.element.focus();
    }
    return;
  }
  if (event.target === canvas.element && event.key.startsWith("Arrow")) walk(event.key);
  else if (event.target === canvas.element && event.key === "Enter" && selected !== null) {
    const block = selected.block ?? blockOf[selected.node];
    if (block !== undefined && block !== -1) fold(block, !folded.has(block));
  } else if (KEYS[event.key] !== undefined) KEYS[event.key]();
  else return;
  event.preventDefault();
});

let drag = null;
canvas.element.addEventListener("pointerdown", (event) => {
  canvas.element.setPointerCapture(event.pointerId);
  drag = { x: event.clientX, y: event.clientY, moved: 0 };
});
canvas.element.addEventListener("pointermove", (event) => {
  if (drag === null) {
    const hover = canvas.boxAt(event.offsetX, event.offsetY);
    canvas.element.classList.toggle("over", hover !== -1 || canvas.frameAt(event.offsetX, event.offsetY) !== undefined);
    if (hover !== canvas.marks.hover) {
      canvas.marks.hover = hover;
      canvas.draw();
    }
    return;
  }
  canvas.element.classList.add("grabbing");
  canvas.view.x += event.clientX - drag.x;
  canvas.view.y += event.clientY - drag.y;
  drag = { x: event.clientX, y: event.clientY, moved: drag.moved + Math.abs(event.clientX - drag.x) + Math.abs(event.clientY - drag.y) };
  canvas.draw();
});
canvas.element.addEventListener("pointerup", (event) => {
  const isClick = drag !== null && drag.moved < 5;
  drag = null;
  canvas.element.classList.remove("grabbing");
  if (!isClick) return;
  const box = canvas.boxAt(event.offsetX, event.offsetY);
  const frame = box === -1 ? canvas.frameAt(event.offsetX, event.offsetY) : undefined;
  if (frame !== undefined) fold(frame.block, true);
  else select(box === -1 ? null : whatIs(box), false);
});
canvas.element.addEventListener("pointercancel", () => (drag = null));
canvas.element.addEventListener("dblclick", (event) => {
  const box = canvas.scene.boxes[canvas.boxAt(event.offsetX, event.offsetY)];
  if (box?.block !== undefined) fold(box.block, false);
});
canvas.element.addEventListener(
  "wheel",
  (event) => {
    event.preventDefault();
    const step = event.deltaMode === 1 ? event.deltaY * 20 : event.deltaY;
    canvas.zoomAt(event.offsetX, event.offsetY, Math.exp(-Math.max(-200, Math.min(200, step)) / 400));
  },
  { passive: false },
);

byId("query").addEventListener("input", (event) => search(event.target.value));
byId("zoom-in").addEventListener("click", () => centreZoom(1.25));
byId("zoom-out").addEventListener("click", () => centreZoom(0.8));
byId("fit").addEventListener("click", () => canvas.fit());
byId("theme").addEventListener("click", setTheme);
byId("help").addEventListener("click", () => byId("keys").showModal());
byId("folds").addEventListener("click", foldAll);
byId("folds").hidden = graph.blocks.length === 0;
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => canvas.readColours(FAMILIES));

canvas.readColours(FAMILIES);
rebuild();
canvas.resize();
canvas.fit(true);
document.documentElement.dataset.ready = "true";
