// What a run is told by its environment.

// A number by its name.
export const number = (name, otherwise) => Number(process.env[name] ?? otherwise);
