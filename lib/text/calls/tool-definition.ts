// A function that a model may call, in OpenAI's form.

export interface ToolDefinition {
  type: 'function';
  function: {
    name: string;
    description?: string | null | undefined;
    /** JSON Schema of an object. */
    parameters?: unknown;
    strict?: boolean | null | undefined;
  };
}
