// Losses over steps as a drawing.

const space = 'http://www.w3.org/2000/svg';
const width = 640;
const height = 220;
const edge = { left: 44, right: 12, top: 12, bottom: 26 };

/** `points` are `{ step, train, valid }` in the order of their steps; `total` is the last step there will be. */
export function curve(points, total) {
  const drawing = element('svg', { class: 'curve', viewBox: `0 0 ${width} ${height}`, role: 'img' });
  const losses = points.flatMap(({ train, valid }) => [train, valid]).filter(Number.isFinite);
  const last = points.at(-1);
  drawing.append(
    element(
      'title',
      {},
      Number.isFinite(last?.train) ? `Loss ${last.train.toFixed(3)} at step ${last.step}` : 'No losses yet',
    ),
  );
  const [low, high] = bounds(losses);
  const steps = Math.max(total ?? 0, last?.step ?? 0, 1);
  const across = (step) => edge.left + ((width - edge.left - edge.right) * step) / steps;
  const down = (loss) => edge.top + ((height - edge.top - edge.bottom) * (high - loss)) / (high - low);
  for (let line = 0; line <= 4; line += 1) {
    const loss = low + ((high - low) * line) / 4;
    const y = down(loss);
    drawing.append(element('line', { class: 'grid', x1: edge.left, x2: width - edge.right, y1: y, y2: y }));
    drawing.append(
      element('text', { x: edge.left - 8, y: y + 4, 'text-anchor': 'end' }, loss.toFixed(high - low < 1 ? 2 : 1)),
    );
  }
  for (const step of [0, Math.round(steps / 2), steps]) {
    const anchor = step === steps ? 'end' : 'middle';
    drawing.append(element('text', { x: across(step), y: height - 6, 'text-anchor': anchor }, String(step)));
  }
  for (const name of ['train', 'valid']) {
    const shown = points.filter((point) => Number.isFinite(point[name]));
    const path = shown.map((point) => `${across(point.step).toFixed(1)},${down(point[name]).toFixed(1)}`).join(' ');
    if (path) drawing.append(element('polyline', { class: name, points: path }));
  }
  return drawing;
}

function bounds(losses) {
  if (losses.length === 0) return [0, 4];
  const [low, high] = [Math.min(...losses), Math.max(...losses)];
  const room = Math.max((high - low) * 0.08, 0.02);
  return [Math.max(0, low - room), high + room];
}

function element(name, attributes, text) {
  const made = document.createElementNS(space, name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  if (text !== undefined) made.textContent = text;
  return made;
}
