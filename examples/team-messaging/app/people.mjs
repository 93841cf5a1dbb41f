// The people of the example: two areas, a supervisor and enumerators in each, and somebody of the office.

import { sealed } from "./logins.mjs";

export const PASSWORD = "field work";

const AREAS = [["north", "North"], ["south", "South"]];
const USERS = [
  ["nora", "Nora", "supervisor", "north"], ["ali", "Ali", "enumerator", "north"], ["bea", "Bea", "enumerator", "north"],
  ["sam", "Sam", "supervisor", "south"], ["cem", "Cem", "enumerator", "south"], ["olga", "Olga", "office", null],
];

/** Adds those who are missing. */
export async function addPeople(database) {
  for (const area of AREAS) await database.rows("insert into areas (id, name) values ($1, $2) on conflict do nothing", area);
  const seal = await sealed(PASSWORD);
  for (const user of USERS) {
    await database.rows("insert into users (id, name, role, area, password) values ($1, $2, $3, $4, $5) on conflict do nothing", [...user, seal]);
  }
}
