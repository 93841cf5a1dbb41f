// A map of a road and of cars, drawn on a canvas. Whatever arrives between two frames is one drawing.

const MARGIN_PX = 24;
const LATE_MS = 1000;
const OLD_MS = 5000;
const COLOURS = { road: "#c3cbd3", centre: "#ffffff", fresh: "#0f7b4d", late: "#c77700", old: "#8a939c", parked: "#5b6670" };

export class RallyMap {
  #canvas;
  #road;
  #isDue = false;

  constructor(canvas, road, positions) {
    this.#canvas = canvas;
    this.#road = road;
    this.positions = positions;
    this.draw();
  }

  /** Draws with the next frame, once. */
  draw() {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      this.#paint();
    });
  }

  // Degrees to pixels, the road in the middle.
  #projection(width, height) {
    const widen = Math.cos((this.#road[0][0] * Math.PI) / 180);
    const points = this.#road.map(([lat, lon]) => [lon * widen, -lat]);
    const [west, north] = [0, 1].map((axis) => Math.min(...points.map((point) => point[axis])));
    const [east, south] = [0, 1].map((axis) => Math.max(...points.map((point) => point[axis])));
    const scale = Math.min((width - 2 * MARGIN_PX) / (east - west), (height - 2 * MARGIN_PX) / (south - north));
    const left = (width - scale * (east - west)) / 2;
    const top = (height - scale * (south - north)) / 2;
    return (lat, lon) => [left + (lon * widen - west) * scale, top + (-lat - north) * scale];
  }

  #paint() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const ratio = devicePixelRatio;
    if (this.#canvas.width !== width * ratio) Object.assign(this.#canvas, { width: width * ratio, height: height * ratio });
    const pen = this.#canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const place = this.#projection(width, height);
    for (const [colour, wide] of [[COLOURS.road, 9], [COLOURS.centre, 5]]) {
      pen.beginPath();
      for (const [lat, lon] of this.#road) pen.lineTo(...place(lat, lon));
      pen.closePath();
      Object.assign(pen, { strokeStyle: colour, lineWidth: wide, lineJoin: "round" });
      pen.stroke();
    }
    const now = Date.now();
    for (const position of this.positions.values()) this.#car(pen, place(position.lat, position.lon), position, now);
  }

  #car(pen, [x, y], { at, speed, heading }, now) {
    const age = now - at;
    pen.fillStyle = speed === 0 ? COLOURS.parked : age > OLD_MS ? COLOURS.old : age > LATE_MS ? COLOURS.late : COLOURS.fresh;
    const turn = ((heading ?? 0) * Math.PI) / 180;
    const point = (ahead, aside) => [
      x + ahead * Math.sin(turn) + aside * Math.cos(turn),
      y - ahead * Math.cos(turn) + aside * Math.sin(turn),
    ];
    pen.beginPath();
    if (speed === 0) pen.rect(x - 3.5, y - 3.5, 7, 7);
    else for (const corner of [[7, 0], [-4, 4], [-4, -4]]) pen.lineTo(...point(...corner));
    pen.closePath();
    pen.fill();
  }
}
