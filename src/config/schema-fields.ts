import type { z } from 'zod';

/** What text becomes when it is the value of a field. */
export type FieldKind = 'text' | 'number' | 'switch' | 'list' | 'mapping' | 'any';

/** A field of a schema that has no fields of its own. */
export interface SchemaField {
  readonly path: readonly string[];
  readonly kind: FieldKind;
}

type Schema = z.core.$ZodType;

/** Every field that a schema of nested objects knows, in its order. */
export function fieldsOf(schema: Schema, path: readonly string[] = []): SchemaField[] {
  const shape = shapeOf(schema);
  const names = Object.keys(shape);
  if (names.length === 0) return [{ path, kind: kindOf(schema) }];
  return Object.entries(shape).flatMap(([name, child]) => fieldsOf(child, [...path, name]));
}

/** The keys that a schema knows at a path; none where any key may stand. */
export function keysAt(schema: Schema, path: readonly PropertyKey[]): string[] {
  let current: Schema | undefined = schema;
  for (const step of path) {
    if (current === undefined) return [];
    current = stepInto(current, step);
  }
  return current === undefined ? [] : Object.keys(shapeOf(current));
}

/** Whether any key may stand in it. */
export function hasFreeKeys(schema: Schema): boolean {
  return kindOf(schema) === 'mapping' && Object.keys(shapeOf(schema)).length === 0;
}

/** The kind of what a mapping with free keys holds. */
export function entryKindOf(schema: Schema): FieldKind {
  const { valueType } = unwrap(schema)._zod.def as { valueType?: Schema };
  return valueType === undefined ? 'any' : kindOf(valueType);
}

/** The part of a schema behind one step, undefined where there is none. */
export function stepInto(schema: Schema, step: PropertyKey): Schema | undefined {
  const bare = unwrap(schema);
  const { element, valueType } = bare._zod.def as { element?: Schema; valueType?: Schema };
  return shapeOf(bare)[String(step)] ?? element ?? valueType;
}

export function kindOf(schema: Schema): FieldKind {
  return kinds[unwrap(schema)._zod.def.type] ?? 'any';
}

const kinds: Readonly<Record<string, FieldKind>> = {
  string: 'text',
  enum: 'text',
  literal: 'text',
  number: 'number',
  boolean: 'switch',
  array: 'list',
  record: 'mapping',
  object: 'mapping',
};

function shapeOf(schema: Schema): Readonly<Record<string, Schema>> {
  const { shape } = unwrap(schema)._zod.def as { shape?: Readonly<Record<string, Schema>> };
  return shape ?? {};
}

/** Without defaults. */
function unwrap(schema: Schema): Schema {
  let current = schema;
  for (;;) {
    const { innerType } = current._zod.def as { innerType?: Schema };
    if (innerType === undefined) return current;
    current = innerType;
  }
}
