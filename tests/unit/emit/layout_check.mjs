// node layout_check.mjs SHAPE: lays out a graph of about 2,000 boxes and checks what every layout has to be.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

const source = readFileSync(new URL("../../../translator/webnn_translator/emit/view/layout.js", import.meta.url), "utf8");
const layout = new Function(`${source}; return layout;`)();

let seed = 7;
const random = (below) => {
  seed = (seed * 48271) % 2147483647;
  return seed % below;
};

const boxes = [];
const uses = new Map();
const add = (from, more = {}) => {
  boxes.push({ w: 40 + random(200), h: 36 + random(2) * 12, ...more });
  for (const source of new Set(from)) uses.set(source, [...(uses.get(source) ?? []), boxes.length - 1]);
  return boxes.length - 1;
};
const shapes = {
  chain: () => {
    for (let i = 0; i < 2000; i++) add(i === 0 ? [] : [i - 1, Math.max(0, i - 30)]);
  },
  wide: () => {
    const input = add([], { pin: "top" });
    const middle = Array.from({ length: 1998 }, () => add([input]));
    add(middle, { pin: "bottom" });
  },
  random: () => {
    for (let i = 0; i < 2000; i++) add(i === 0 ? [] : Array.from({ length: 1 + random(3) }, () => Math.max(0, i - 1 - random(random(20) === 0 ? 2000 : 25))));
  },
  blocks: () => {
    const mask = add([], { pin: "top" });
    let last = add([], { pin: "top" });
    for (let turn = 1; turn <= 100; turn++) {
      const more = { run: 0, turn };
      const free = add([mask], more);
      const parts = Array.from({ length: 17 }, () => add([last, free], more));
      last = add([...parts, last], more);
    }
    add([last], { pin: "bottom" });
  },
};
shapes[process.argv[2]]();

const lines = [...uses].map(([from, to]) => ({ value: from, from, to }));
const bounds = layout(boxes, lines);

const rows = Map.groupBy ? Map.groupBy(boxes, (box) => box.row) : boxes.reduce((map, box) => map.set(box.row, [...(map.get(box.row) ?? []), box]), new Map());
for (const row of rows.values()) {
  const sorted = [...row].sort((a, b) => a.x - b.x);
  for (let i = 1; i < sorted.length; i++) {
    assert.ok(sorted[i].x - sorted[i].w / 2 >= sorted[i - 1].x + sorted[i - 1].w / 2 - 1e-6, "two boxes of a row touch");
  }
}
for (const line of lines) {
  assert.equal(line.pieces.filter((piece) => piece.to !== undefined).length, line.to.length);
  for (const to of line.to) assert.ok(boxes[to].y - boxes[to].h / 2 > boxes[line.from].y + boxes[line.from].h / 2, "a line goes up");
  for (const piece of line.pieces) assert.ok(piece.y1 > piece.y0, "a piece goes up");
}
for (const box of boxes) {
  assert.ok(Number.isFinite(box.x) && box.x - box.w / 2 >= bounds.left && box.x + box.w / 2 <= bounds.right && box.y <= bounds.bottom);
  if (box.turn > 1) assert.ok(boxes.every((other) => other.turn !== box.turn - 1 || other.row < box.row), "turns stand side by side");
}
console.log("fine");
