// A JSON Schema as people read it: names, types, what is demanded. What it does not show stands in the JSON below it.

import { Json } from "./fields";

type Schema = Record<string, unknown>;

// Deeper levels are in the JSON.
const DEPTH_MAX = 6;
/** Keywords that are told in words after the type. */
const LIMITS: [string, string][] = [
  ["const", "always"],
  ["format", "format"],
  ["pattern", "matches"],
  ["minimum", "at least"],
  ["exclusiveMinimum", "more than"],
  ["maximum", "at most"],
  ["exclusiveMaximum", "less than"],
  ["minLength", "characters at least"],
  ["maxLength", "characters at most"],
  ["minItems", "items at least"],
  ["maxItems", "items at most"],
  ["$ref", "as in"],
];

const isSchema = (value: unknown): value is Schema => typeof value === "object" && value !== null && !Array.isArray(value);

function type(schema: Schema): string {
  if (Array.isArray(schema.enum)) return `one of ${schema.enum.map((value) => JSON.stringify(value)).join(", ")}`;
  if (schema.type === "array" && isSchema(schema.items)) return `list of ${type(schema.items)}`;
  if (Array.isArray(schema.type)) return schema.type.join(" or ");
  if (typeof schema.type === "string") return schema.type;
  for (const [keyword, words] of [["oneOf", "one of"], ["anyOf", "any of"], ["allOf", "all of"]] as const) {
    const parts = schema[keyword];
    if (Array.isArray(parts)) return `${words} ${parts.map((part) => (isSchema(part) ? type(part) : "any value")).join(", ")}`;
  }
  return isSchema(schema.properties) ? "object" : "any value";
}

function limits(schema: Schema): string[] {
  const told = LIMITS.filter(([keyword]) => schema[keyword] !== undefined).map(([keyword, words]) => `${words} ${typeof schema[keyword] === "string" ? schema[keyword] : JSON.stringify(schema[keyword])}`);
  return schema.additionalProperties === false ? [...told, "nothing else"] : told;
}

function Properties({ of, depth }: { of: Schema; depth: number }) {
  const inner = of.type === "array" && isSchema(of.items) ? of.items : of;
  if (!isSchema(inner.properties) || depth >= DEPTH_MAX) return null;
  const required = new Set(Array.isArray(inner.required) ? inner.required : []);
  return (
    <ul class="schema">
      {Object.entries(inner.properties).map(([name, value]) => {
        const property = isSchema(value) ? value : {};
        return (
          <li key={name}>
            <code>{name}</code> <span>{type(property)}</span> {required.has(name) ? <b>required</b> : <span class="quiet">optional</span>}
            {limits(property).map((limit) => (
              <span key={limit} class="quiet">
                , {limit}
              </span>
            ))}
            {typeof property.description === "string" && <div class="quiet">{property.description}</div>}
            <Properties of={property} depth={depth + 1} />
          </li>
        );
      })}
    </ul>
  );
}

export function SchemaView({ of, label }: { of: unknown; label: string }) {
  if (!isSchema(of) || !Object.keys(of).length) return <p>Any JSON value.</p>;
  return (
    <>
      <p>
        {type(of)}
        {limits(of).map((limit) => `, ${limit}`)}
        {typeof of.description === "string" && <span class="quiet"> – {of.description}</span>}
      </p>
      <Properties of={of} depth={0} />
      <details>
        <summary>As JSON Schema</summary>
        <Json value={of} label={`${label} as JSON Schema`} />
      </details>
    </>
  );
}
