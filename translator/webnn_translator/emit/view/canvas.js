// Drawing: what is visible, in as much detail as the zoom can show.

const FONT = "system-ui, sans-serif";
const COLOURS = ["bg", "dot", "surface", "raised", "fg", "dim", "line", "edge", "accent", "match", "block", "block-line"];

class Canvas {
  constructor(element) {
    this.element = element;
    this.context = element.getContext("2d");
    this.view = { x: 0, y: 0, k: 1 };
    this.scene = { boxes: [], lines: [], frames: [], bounds: { left: 0, right: 0, top: 0, bottom: 0 } };
    this.marks = { hover: -1, selected: new Set(), matches: null, value: null };
    this.colours = {};
    this.pending = false;
    new ResizeObserver(() => this.resize()).observe(element);
  }

  // A custom property as the colour it is in this theme.
  readColours(families) {
    const probe = document.createElement("i");
    document.body.append(probe);
    for (const name of [...COLOURS, ...families.map((family) => `f-${family}`)]) {
      probe.style.color = `var(--${name})`;
      this.colours[name] = getComputedStyle(probe).color;
    }
    probe.remove();
    this.draw();
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    this.element.width = Math.round(this.element.clientWidth * ratio);
    this.element.height = Math.round(this.element.clientHeight * ratio);
    this.paint();
  }

  measure(text, font) {
    this.context.font = font;
    return this.context.measureText(text).width;
  }

  toScene(x, y) {
    return { x: (x - this.view.x) / this.view.k, y: (y - this.view.y) / this.view.k };
  }

  zoomAt(x, y, factor) {
    const k = Math.min(3, Math.max(0.02, this.view.k * factor));
    const at = this.toScene(x, y);
    this.view = { k, x: x - at.x * k, y: y - at.y * k };
    this.draw();
  }

  // Everything, or the top of it at a size that can be read.
  fit(isReadable = false) {
    const { left, right, top, bottom } = this.scene.bounds;
    const { clientWidth: width, clientHeight: height } = this.element;
    const margin = 48;
    let k = Math.min((width - margin) / Math.max(1, right - left), (height - margin) / Math.max(1, bottom - top), 1.1);
    if (isReadable) k = Math.max(k, Math.min(0.9, (width - margin) / Math.max(1, right - left)), 0.45);
    const spare = height - (bottom - top) * k;
    let middle = (left + right) / 2;
    const first = this.scene.boxes.filter((box) => (box.y - top) * k < height);
    if (spare < 0 && first.length > 0) middle = (Math.min(...first.map((box) => box.x - box.w / 2)) + Math.max(...first.map((box) => box.x + box.w / 2))) / 2;
    this.view = { k, x: width / 2 - middle * k, y: spare > margin ? spare / 2 - top * k : margin / 2 - top * k };
    this.draw();
  }

  reveal(box) {
    const { clientWidth: width, clientHeight: height } = this.element;
    if (this.view.k < 0.5) this.view.k = 0.8;
    const x = box.x * this.view.k + this.view.x;
    const y = box.y * this.view.k + this.view.y;
    const [dx, dy] = [width * 0.15, height * 0.2];
    if (x < dx || x > width - dx) this.view.x += width / 2 - x;
    if (y < dy || y > height - dy) this.view.y += height / 2 - y;
    this.draw();
  }

  boxAt(x, y) {
    const at = this.toScene(x, y);
    return this.scene.boxes.findIndex((box) => Math.abs(at.x - box.x) <= box.w / 2 && Math.abs(at.y - box.y) <= box.h / 2);
  }

  frameAt(x, y) {
    const at = this.toScene(x, y);
    return this.scene.frames.find((frame) => at.x >= frame.left && at.x <= frame.left + frame.headWidth && at.y >= frame.top && at.y <= frame.top + 24);
  }

  draw() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      this.paint();
    });
  }

  paint() {
    const { context, view, colours, element } = this;
    const ratio = window.devicePixelRatio || 1;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = colours.bg ?? "white";
    context.fillRect(0, 0, element.clientWidth, element.clientHeight);
    context.translate(view.x, view.y);
    context.scale(view.k, view.k);
    const from = this.toScene(0, 0);
    const to = this.toScene(element.clientWidth, element.clientHeight);
    this.seen = (left, top, right, bottom) => right >= from.x && left <= to.x && bottom >= from.y && top <= to.y;
    for (const frame of this.scene.frames) this.paintFrame(frame);
    this.paintLines();
    this.scene.boxes.forEach((box, index) => {
      if (this.seen(box.x - box.w / 2 - 4, box.y - box.h / 2 - 4, box.x + box.w / 2 + 4, box.y + box.h / 2 + 4)) this.paintBox(box, index);
    });
  }

  paintFrame(frame) {
    if (!this.seen(frame.left, frame.top, frame.right, frame.bottom)) return;
    const { context, colours } = this;
    context.beginPath();
    context.roundRect(frame.left, frame.top, frame.right - frame.left, frame.bottom - frame.top, 14);
    context.fillStyle = colours.block;
    context.fill();
    context.strokeStyle = colours["block-line"];
    context.lineWidth = 1;
    context.stroke();
    if (this.view.k < 0.2) return;
    context.font = `600 12px ${FONT}`;
    context.textAlign = "left";
    context.textBaseline = "middle";
    context.fillStyle = colours.dim;
    context.fillText(frame.text, frame.left + 14, frame.top + 16);
  }

  paintLines() {
    const { context, colours, marks, view } = this;
    const bright = [];
    const curve = (piece) => {
      const middle = (piece.y1 - piece.y0) * 0.5;
      context.moveTo(piece.x0, piece.y0);
      context.bezierCurveTo(piece.x0, piece.y0 + middle, piece.x1, piece.y1 - middle, piece.x1, piece.y1);
      if (piece.drop !== undefined) context.lineTo(piece.x1, piece.drop);
    };
    const shown = (piece) => this.seen(Math.min(piece.x0, piece.x1), piece.y0, Math.max(piece.x0, piece.x1), piece.drop ?? piece.y1);
    context.beginPath();
    for (const line of this.scene.lines) {
      const isBright = marks.value === line.value || marks.hover === line.from || marks.selected.has(line.from);
      for (const piece of line.pieces) {
        if (!shown(piece)) continue;
        if (isBright || piece.to === marks.hover || marks.selected.has(piece.to)) bright.push(piece);
        else curve(piece);
      }
    }
    context.lineWidth = Math.max(1.3, 0.6 / view.k);
    context.strokeStyle = colours.edge;
    context.stroke();
    context.beginPath();
    bright.forEach(curve);
    context.lineWidth = Math.max(2, 1 / view.k);
    context.strokeStyle = colours.accent;
    context.stroke();
    if (view.k < 0.3) return;
    for (const line of this.scene.lines) {
      for (const piece of line.pieces) {
        if (piece.to !== undefined && shown(piece)) this.paintTip(piece, bright.includes(piece));
      }
    }
    if (view.k < 0.42) return;
    context.font = `11px ${FONT}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (const { label, text, textWidth } of this.scene.lines) {
      if (!this.seen(label.x - textWidth / 2, label.y - 8, label.x + textWidth / 2, label.y + 8)) continue;
      context.fillStyle = colours.bg;
      context.globalAlpha = 0.88;
      context.beginPath();
      context.roundRect(label.x - textWidth / 2 - 5, label.y - 8, textWidth + 10, 16, 5);
      context.fill();
      context.globalAlpha = 1;
      context.fillStyle = colours.dim;
      context.fillText(text, label.x, label.y + 0.5);
    }
  }

  paintTip(piece, isBright) {
    const { context, colours } = this;
    context.beginPath();
    context.moveTo(piece.x1, piece.y1);
    context.lineTo(piece.x1 - 4, piece.y1 - 7);
    context.lineTo(piece.x1 + 4, piece.y1 - 7);
    context.closePath();
    context.fillStyle = isBright ? colours.accent : colours.edge;
    context.fill();
  }

  paintBox(box, index) {
    const { context, colours, marks, view } = this;
    const [left, top] = [box.x - box.w / 2, box.y - box.h / 2];
    const colour = colours[`f-${box.family}`];
    const isMatch = marks.matches?.has(index);
    context.globalAlpha = marks.matches !== null && !isMatch && !marks.selected.has(index) ? 0.35 : 1;
    const radius = box.family === "port" ? box.h / 2 : 9;
    context.beginPath();
    context.roundRect(left, top, box.w, box.h, radius);
    if (view.k < 0.22) {
      context.fillStyle = colour;
      context.fill();
    } else {
      context.fillStyle = box.family === "port" ? colour : colours.surface;
      context.fill();
      if (box.family !== "port") {
        context.save();
        context.clip();
        context.fillStyle = colour;
        context.fillRect(left, top, 5, box.h);
        context.restore();
        context.beginPath();
        context.roundRect(left, top, box.w, box.h, radius);
      }
      context.strokeStyle = colours.line;
      context.lineWidth = 1.2;
      context.stroke();
    }
    const ring = marks.selected.has(index) ? colours.accent : isMatch ? colours.match : index === marks.hover ? colours.edge : null;
    if (ring !== null) {
      context.beginPath();
      context.roundRect(left - 2.5, top - 2.5, box.w + 5, box.h + 5, radius + 2.5);
      context.strokeStyle = ring;
      context.lineWidth = Math.max(2.5, 1.5 / view.k);
      context.stroke();
    }
    if (view.k >= 0.22) this.paintText(box, left, top, colour);
    context.globalAlpha = 1;
  }

  paintText(box, left, top, colour) {
    const { context, colours, view } = this;
    context.textBaseline = "middle";
    const isPort = box.family === "port";
    context.textAlign = isPort ? "center" : "left";
    const x = isPort ? box.x : left + 16;
    const hasMore = box.more !== "" && view.k >= 0.35;
    context.font = `600 13px ${FONT}`;
    context.fillStyle = isPort ? colours.surface : box.family === "block" ? colours.fg : colour;
    context.fillText(box.text, x, hasMore ? top + box.h / 2 - 9 : top + box.h / 2);
    if (!hasMore) return;
    context.font = `11px ${FONT}`;
    context.fillStyle = isPort ? colours.surface : colours.dim;
    context.fillText(box.more, x, top + box.h / 2 + 9);
  }
}
