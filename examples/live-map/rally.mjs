// The rallies of this example: who runs them, where they lead along, and who drives. The database is filled with it, and
// the gateway drives by it.

const DEVICES = Number(process.env.DEVICES ?? 200);

export const ORGANISATIONS = [
  { id: "north", name: "Northern Motor Club" },
  { id: "south", name: "Southern Motor Club" },
];

export const PEOPLE = [
  { email: "maya@north.example", role: "marshal", organisation: "north" },
  { email: "vic@north.example", role: "viewer", organisation: "north" },
  { email: "sol@south.example", role: "marshal", organisation: "south" },
];
export const PASSWORD = "rally";

// `parked` is registered and sends nothing: its last position is in the database alone.
export const EVENTS = [
  { id: "lakes", organisation: "north", name: "Rally of the Lakes", centre: [62.24, 25.75], bend: 0.6, cars: DEVICES, parked: [62.232, 25.76] },
  { id: "coast", organisation: "south", name: "Coast Rally", centre: [43.55, 10.31], bend: 2.1, cars: 10, parked: [43.552, 10.3] },
];

/** The cars of an event, each with the device that it carries. */
export const cars = ({ id, cars }) =>
  Array.from({ length: cars }, (_, index) => ({ number: index + 1, crew: `Crew ${index + 1}`, device: `${id}-${index + 1}` }));

const POINTS = 360;
const METRES_PER_DEGREE = 111_320;

/** The road, a loop of `[lat, lon]`. */
export function road({ centre: [lat, lon], bend }) {
  const widen = 1 / Math.cos((lat * Math.PI) / 180);
  return Array.from({ length: POINTS }, (_, index) => {
    const turn = (index / POINTS) * 2 * Math.PI;
    const bends = 0.3 * Math.sin(3 * turn + bend) + 0.16 * Math.sin(5 * turn - bend) + 0.1 * Math.sin(9 * turn) + 0.05 * Math.sin(17 * turn);
    const radius = 0.045 * (1 + bends);
    return [lat + radius * 0.75 * Math.sin(turn), lon + radius * 1.25 * widen * Math.cos(turn)];
  });
}

/** Where somebody is after so many metres of a road, and in which direction, in degrees. */
export function along(road) {
  const legs = road.map((from, index) => {
    const to = road[(index + 1) % road.length];
    const north = (to[0] - from[0]) * METRES_PER_DEGREE;
    const east = (to[1] - from[1]) * METRES_PER_DEGREE * Math.cos((from[0] * Math.PI) / 180);
    return { from, to, metres: Math.hypot(north, east), heading: Math.round((Math.atan2(east, north) * 180) / Math.PI + 360) % 360 };
  });
  const ends = [];
  legs.reduce((sum, { metres }) => (ends.push(sum + metres), sum + metres), 0);
  const whole = ends.at(-1);
  return (metres) => {
    const rest = metres % whole;
    const index = ends.findIndex((end) => rest < end);
    const { from, to, metres: length, heading } = legs[index];
    const share = 1 - (ends[index] - rest) / length;
    return { lat: from[0] + (to[0] - from[0]) * share, lon: from[1] + (to[1] - from[1]) * share, heading, whole };
  };
}
