// The text beside the drawing. Everything comes in by textContent: names of the model are never markup.

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") made.addEventListener("click", value);
    else if (name === "className") made.className = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

const byId = (id) => document.getElementById(id);
const grouped = (number) => number.toLocaleString("en-US");

function sized(bytes) {
  const units = ["B", "kB", "MB", "GB"];
  let place = 0;
  for (; bytes >= 1000 && place < units.length - 1; place++) bytes /= 1000;
  return `${place === 0 ? bytes : bytes.toFixed(bytes < 10 ? 2 : 1)} ${units[place]}`;
}

function bar(share, family) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 100 8");
  svg.setAttribute("preserveAspectRatio", "none");
  const rect = document.createElementNS(space, "rect");
  rect.setAttribute("width", String(Math.max(1, share * 100)));
  rect.setAttribute("height", "8");
  rect.style.fill = `var(--f-${family})`;
  svg.append(rect);
  return svg;
}

// actions: goTo(value), search(text), select(node)
class Panel {
  constructor(graph, actions) {
    this.graph = graph;
    this.actions = actions;
    this.heading();
    this.ports();
    this.operators();
  }

  heading() {
    const { graph } = this;
    const constants = Object.values(graph.constants);
    const total = (key) => constants.reduce((sum, constant) => sum + constant[key], 0);
    byId("title").textContent = graph.name;
    byId("subtitle").textContent = `${grouped(graph.nodes.length)} operators · ${grouped(total("count"))} parameters · ${sized(total("bytes"))}`;
    byId("tool").textContent = [graph.source, graph.tool].filter((text) => text !== "").join(" · ");
  }

  link(text, value) {
    return element("button", { className: "link", title: text, onclick: () => this.actions.goTo(value) }, text);
  }

  ports() {
    const { graph } = this;
    const list = byId("ports");
    for (const value of graph.inputs) this.port(list, "in", graph.values[value][0], value);
    for (const [name, value] of graph.outputs) this.port(list, "out", name, value);
    byId("dimensions").hidden = graph.dims.length === 0;
    for (const [name, least, most] of graph.dims) {
      byId("dims").append(element("dt", {}, name), element("dd", {}, most === null ? `from ${least}` : `${least} to ${grouped(most)}`));
    }
  }

  port(list, word, name, value) {
    list.append(element("dt", {}, word), element("dd", {}, this.link(name, value), element("code", {}, this.graph.values[value][2])));
  }

  operators() {
    const { graph } = this;
    const rows = new Map();
    const counted = new Set();
    for (const [op, , inputs] of graph.nodes) {
      const row = rows.get(op) ?? { count: 0, bytes: 0 };
      row.count++;
      for (const value of inputs) {
        const constant = graph.constants[value];
        if (constant !== undefined && !counted.has(value)) {
          row.bytes += constant.bytes;
          counted.add(value);
        }
      }
      rows.set(op, row);
    }
    const sorted = [...rows].sort((a, b) => b[1].count - a[1].count || (a[0] < b[0] ? -1 : 1));
    const most = sorted.length > 0 ? sorted[0][1].count : 1;
    for (const [op, { count, bytes }] of sorted) {
      const { family, doc } = graph.ops[op];
      byId("operators").tBodies[0].append(
        element(
          "tr",
          { title: doc, onclick: () => this.actions.search(`op:${op}`) },
          element("td", {}, op),
          element("td", { className: "n" }, grouped(count)),
          element("td", { className: "bar" }, bar(count / most, family)),
          element("td", { className: "n" }, bytes > 0 ? sized(bytes) : ""),
        ),
      );
    }
  }

  matches(nodes, isAsked) {
    byId("found").textContent = isAsked ? grouped(nodes.length) : "";
    const list = byId("matches");
    list.hidden = nodes.length === 0;
    list.replaceChildren(
      ...nodes.slice(0, 60).map((node) => {
        const [op, label] = this.graph.nodes[node];
        return element("li", {}, element("button", { title: label, onclick: () => this.actions.select(node) }, element("b", {}, op), " ", element("span", {}, label)));
      }),
    );
  }

  hideDetail() {
    byId("detail").hidden = true;
  }

  row(name, ...children) {
    return element("div", { className: "row" }, element("span", { title: name }, name), element("span", {}, ...children));
  }

  value(index) {
    const [name, , type] = this.graph.values[index];
    const constant = this.graph.constants[index];
    if (constant === undefined) return [this.link(name, index), element("code", {}, type)];
    const text = constant.text !== undefined ? ` = ${constant.text}` : ` · ${sized(constant.bytes)}`;
    return [element("code", { title: name }, name), element("br"), element("code", {}, `${type}${text}`)];
  }

  show(node) {
    const { graph } = this;
    const [op, label, inputs, outputs, options] = graph.nodes[node];
    const { family, doc, operands, results, variadic } = graph.ops[op];
    const dot = element("i");
    dot.style.background = `var(--f-${family})`;
    const parts = [element("h3", {}, dot, op), element("p", {}, doc), element("p", { className: "name" }, label), element("h4", {}, "Operands")];
    inputs.forEach((index, place) => {
      if (index !== null) parts.push(this.row(variadic ? `${operands[0]} ${place}` : operands[place], ...this.value(index)));
    });
    if (options.length > 0) parts.push(element("h4", {}, "Options"), ...options.map(([name, text]) => this.row(name, element("code", {}, text))));
    parts.push(element("h4", {}, "Results"));
    outputs.forEach((index, place) => parts.push(this.row(results[place] ?? `${results[0]} ${place}`, ...this.value(index))));
    this.fill(parts);
  }

  showBlock([, length, number, count, title], unfold) {
    this.fill([
      element("h3", {}, title),
      element("p", {}, `Turn ${number} of ${count} of a part that repeats: ${length} operators each.`),
      element("p", {}, element("button", { className: "link", onclick: unfold }, "Unfold it")),
    ]);
  }

  showPort(word, name, index) {
    this.fill([element("h3", {}, name), element("p", {}, word), element("p", { className: "name" }, this.graph.values[index][2])]);
  }

  fill(parts) {
    byId("detail").replaceChildren(...parts);
    byId("detail").hidden = false;
  }
}
