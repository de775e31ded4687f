// Where boxes and lines go: rows from top to bottom, and in each row an order with few crossings. A value that is used
// further down runs there as one trunk, however many boxes use it.

const ROW_GAP = 58;
const BOX_GAP = 26;
const TRUNK_WIDTH = 12;

// boxes: [{w, h, pin: "top" | "bottom" | undefined, run, turn}] in topological order; lines: [{value, from, to: [box, ...]}].
// Gives each box its centre (x, y) and row, and each line its pieces and the place of its label.
function layout(boxes, lines) {
  const rows = ranks(boxes, lines);
  const { items, levels } = itemsOf(boxes, lines, rows);
  order(items, levels);
  const tops = place(boxes, items, levels);
  return route(boxes, lines, items, levels, tops);
}

function ranks(boxes, lines) {
  const rows = new Array(boxes.length).fill(0);
  const sources = boxes.map(() => []);
  const targets = boxes.map(() => []);
  for (const line of lines) {
    for (const to of line.to) {
      sources[to].push(line.from);
      targets[line.from].push(to);
    }
  }
  // Turns of a repetition stand below one another, also where their data would let them start together.
  const ends = new Map();
  boxes.forEach((box, index) => {
    let row = 0;
    for (const from of sources[index]) row = Math.max(row, rows[from] + 1);
    if (box.run !== undefined) {
      row = Math.max(row, (ends.get(`${box.run} ${box.turn - 1}`) ?? -1) + 1);
      const key = `${box.run} ${box.turn}`;
      ends.set(key, Math.max(ends.get(key) ?? 0, row));
    }
    rows[index] = row;
  });
  // What waits for others waits close to whom it serves.
  for (let index = boxes.length - 1; index >= 0; index--) {
    if (boxes[index].pin !== undefined || targets[index].length === 0) continue;
    let latest = Infinity;
    for (const to of targets[index]) latest = Math.min(latest, rows[to] - 1);
    if (new Set(sources[index]).size <= 1) rows[index] = Math.max(rows[index], latest);
  }
  const last = Math.max(0, ...rows);
  boxes.forEach((box, index) => {
    if (box.pin === "top") rows[index] = 0;
    if (box.pin === "bottom") rows[index] = last;
  });
  return rows;
}

// An item is a box, or a place where a trunk passes a row.
function itemsOf(boxes, lines, rows) {
  const items = boxes.map((box, index) => ({ box: index, row: rows[index], w: box.w, up: [], down: [], key: index }));
  const join = (a, b) => {
    // A trunk stays straight at all costs; boxes keep to boxes more than to what only passes.
    const trunks = (items[a].box === undefined) + (items[b].box === undefined);
    const weight = [3, 1, 8][trunks];
    items[a].down.push([b, weight]);
    items[b].up.push([a, weight]);
  };
  for (const line of lines) {
    line.trunk = [line.from];
    const furthest = Math.max(...line.to.map((to) => rows[to]));
    for (let row = rows[line.from] + 1; row < furthest; row++) {
      items.push({ row, w: TRUNK_WIDTH, up: [], down: [], key: line.from + 0.5 });
      join(line.trunk.at(-1), items.length - 1);
      line.trunk.push(items.length - 1);
    }
    for (const to of line.to) join(line.trunk[rows[to] - 1 - rows[line.from]], to);
  }
  const levels = Array.from({ length: Math.max(-1, ...rows) + 1 }, () => []);
  items.forEach((item, index) => levels[item.row].push(index));
  for (const level of levels) level.sort((a, b) => items[a].key - items[b].key || a - b);
  return { items, levels };
}

// Barycentres, down and up; the best order that was met stays.
function order(items, levels) {
  const number = (level) => level.forEach((item, index) => (items[item].at = index));
  levels.forEach(number);
  let best = levels.map((level) => [...level]);
  let fewest = crossings(items, levels);
  const rounds = items.length > 8000 ? 6 : 14;
  for (let round = 0; round < rounds && fewest > 0; round++) {
    const isDown = round % 2 === 0;
    for (let step = 1; step < levels.length; step++) {
      const level = levels[isDown ? step : levels.length - 1 - step];
      for (const index of level) {
        const near = isDown ? items[index].up : items[index].down;
        items[index].mean = near.length === 0 ? items[index].at : near.reduce((sum, [other]) => sum + items[other].at, 0) / near.length;
      }
      level.sort((a, b) => items[a].mean - items[b].mean || items[a].at - items[b].at);
      number(level);
    }
    const count = crossings(items, levels);
    if (count < fewest) {
      fewest = count;
      best = levels.map((level) => [...level]);
    }
  }
  best.forEach((level, row) => {
    levels[row].splice(0, level.length, ...level);
    number(level);
  });
}

// Inversions between neighbouring rows, counted with a Fenwick tree.
function crossings(items, levels) {
  let total = 0;
  for (let row = 0; row + 1 < levels.length; row++) {
    const size = levels[row + 1].length;
    const tree = new Int32Array(size + 1);
    let seen = 0;
    for (const index of levels[row]) {
      const ends = items[index].down.map(([other]) => items[other].at).sort((a, b) => a - b);
      for (const end of ends) {
        let before = 0;
        for (let i = end + 1; i > 0; i -= i & -i) before += tree[i];
        total += seen - before;
      }
      for (const end of ends) {
        seen++;
        for (let i = end + 1; i <= size; i += i & -i) tree[i]++;
      }
    }
  }
  return total;
}

// Each row as close as possible to what it is joined with (least squares), without touching.
function place(boxes, items, levels) {
  for (const level of levels) {
    let x = 0;
    for (const index of level) {
      items[index].x = x + items[index].w / 2;
      x += items[index].w + BOX_GAP;
    }
    const shift = (x - BOX_GAP) / 2;
    for (const index of level) items[index].x -= shift;
  }
  const settle = (level, sides) => {
    const wanted = level.map((index) => {
      let sum = 0;
      let weight = 0;
      for (const side of sides) {
        for (const [other, share] of items[index][side]) {
          sum += items[other].x * share;
          weight += share;
        }
      }
      return weight === 0 ? [items[index].x, 0.01] : [sum / weight, weight];
    });
    spread(level, items, wanted);
  };
  const rounds = items.length > 8000 ? 5 : 12;
  for (let round = 0; round < rounds; round++) {
    const isLate = round >= rounds - 4;
    for (let row = 1; row < levels.length; row++) settle(levels[row], isLate ? ["up", "down"] : ["up"]);
    for (let row = levels.length - 2; row >= 0; row--) settle(levels[row], isLate ? ["up", "down"] : ["down"]);
  }
  straighten(items, levels);
  const tops = [];
  let y = 0;
  for (const level of levels) {
    const height = Math.max(...level.map((index) => (items[index].box === undefined ? 0 : boxes[items[index].box].h)));
    tops.push([y, height]);
    y += height + ROW_GAP;
  }
  return tops;
}

// A box that is joined with one other box only, whatever passes besides, stands exactly below or above it, as far as the
// neighbours leave room; so does a trunk with itself.
function straighten(items, levels) {
  const alike = (item, side) => item[side].filter(([other]) => (items[other].box === undefined) === (item.box === undefined));
  const align = (level, side, other) => {
    level.forEach((index, at) => {
      const item = items[index];
      const near = alike(item, side);
      if (near.length !== 1) return;
      const [mate] = near[0];
      if (alike(items[mate], other).length !== 1) return;
      const edge = (next, sign) => (next === undefined ? sign * Infinity : items[next].x - (sign * (items[next].w + item.w)) / 2 - sign * BOX_GAP);
      item.x = Math.min(edge(level[at + 1], 1), Math.max(edge(level[at - 1], -1), items[mate].x));
    });
  };
  for (let round = 0; round < 3; round++) {
    for (let row = levels.length - 2; row >= 0; row--) align(levels[row], "down", "up");
    for (let row = 1; row < levels.length; row++) align(levels[row], "up", "down");
  }
}

// Pool adjacent violators: positions minus what must lie before them may only grow.
function spread(level, items, wanted) {
  const offsets = [0];
  for (let i = 1; i < level.length; i++) {
    offsets.push(offsets[i - 1] + (items[level[i - 1]].w + items[level[i]].w) / 2 + BOX_GAP);
  }
  const pools = [];
  wanted.forEach(([x, weight], i) => {
    let pool = { sum: (x - offsets[i]) * weight, weight, count: 1 };
    while (pools.length > 0 && pools.at(-1).sum / pools.at(-1).weight >= pool.sum / pool.weight) {
      const before = pools.pop();
      pool = { sum: before.sum + pool.sum, weight: before.weight + pool.weight, count: before.count + pool.count };
    }
    pools.push(pool);
  });
  let i = 0;
  for (const { sum, weight, count } of pools) {
    for (let k = 0; k < count; k++, i++) items[level[i]].x = sum / weight + offsets[i];
  }
}

function route(boxes, lines, items, levels, tops) {
  boxes.forEach((box, index) => {
    const [top, height] = tops[items[index].row];
    box.x = items[index].x;
    box.y = top + height / 2;
    box.row = items[index].row;
  });
  // Where lines meet a box: side by side, in the order in which they come.
  const entering = boxes.map(() => []);
  const leaving = boxes.map(() => []);
  for (const line of lines) {
    leaving[line.from].push(line);
    for (const to of line.to) {
      const last = line.trunk[items[to].row - 1 - items[line.from].row];
      entering[to].push({ line, x: items[last].x });
    }
  }
  const fan = (box, count, place) => box.x + (place - (count - 1) / 2) * Math.min(18, (box.w * 0.6) / Math.max(1, count));
  for (const line of lines) line.pieces = [];
  boxes.forEach((box, index) => {
    leaving[index].sort((a, b) => (a.trunk.length > 1 ? items[a.trunk[1]].x : box.x) - (b.trunk.length > 1 ? items[b.trunk[1]].x : box.x));
    leaving[index].forEach((line, at) => (line.startX = leaving[index].length > 1 ? fan(box, leaving[index].length, at) : box.x));
    entering[index].sort((a, b) => a.x - b.x);
  });
  const bottomOf = (index) => (items[index].box === undefined ? tops[items[index].row][0] + tops[items[index].row][1] : boxes[index].y + boxes[index].h / 2);
  for (const line of lines) {
    line.trunk.forEach((index, step) => {
      if (step === 0) return;
      const before = line.trunk[step - 1];
      const [top, height] = tops[items[index].row];
      line.pieces.push({ x0: step === 1 ? line.startX : items[before].x, y0: bottomOf(before), x1: items[index].x, y1: top, drop: top + height });
    });
    const box = boxes[line.from];
    line.label = { x: line.startX, y: box.y + box.h / 2 + 17 };
  }
  boxes.forEach((box, index) => {
    entering[index].forEach(({ line }, at) => {
      const last = line.trunk[box.row - 1 - boxes[line.from].row];
      const x0 = last === line.from ? line.startX : items[last].x;
      line.pieces.push({ x0, y0: bottomOf(last), x1: fan(box, entering[index].length, at), y1: box.y - box.h / 2, to: index });
    });
  });
  const left = Math.min(0, ...boxes.map((box) => box.x - box.w / 2));
  const right = Math.max(0, ...boxes.map((box) => box.x + box.w / 2));
  const [top, height] = tops.at(-1) ?? [0, 0];
  return { left, right, top: 0, bottom: top + height };
}
