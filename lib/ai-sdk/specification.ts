// What is used here of the AI SDK's specification of providers, versions 3 and 4 in one: they agree in all of it.
//
// Declared here, not imported: the SDK's packages differ between its releases, and ours must fit each of them.

export type Version = 'v3' | 'v4';

/** A part of any kind: which fields it has depends on its type. */
export interface PromptPart {
  type: string;
  text?: string;
  mediaType?: string;
  toolCallId?: string;
  toolName?: string;
  input?: unknown;
  output?: { type: string; value?: unknown; reason?: string };
}

export interface PromptMessage {
  role: 'system' | 'user' | 'assistant' | 'tool';
  content: string | readonly PromptPart[];
}

export interface CallOptions {
  prompt: readonly PromptMessage[];
  maxOutputTokens?: number | undefined;
  temperature?: number | undefined;
  topP?: number | undefined;
  topK?: number | undefined;
  presencePenalty?: number | undefined;
  frequencyPenalty?: number | undefined;
  seed?: number | undefined;
  stopSequences?: readonly string[] | undefined;
  responseFormat?: { type: 'text' | 'json'; schema?: unknown } | undefined;
  tools?: readonly { type: string; name: string; description?: string; inputSchema?: unknown }[] | undefined;
  toolChoice?: { type: 'auto' | 'none' | 'required' | 'tool'; toolName?: string } | undefined;
  /** A level of effort. Version 4 only. */
  reasoning?: string | undefined;
  /** Of this provider: `{ helvetia: { reasoning: { enabled, effort, budget } } }`. */
  providerOptions?: Readonly<Record<string, Readonly<Record<string, unknown>>>> | undefined;
  abortSignal?: AbortSignal | undefined;
}

export type Warning = { type: 'unsupported'; feature: string; details?: string } | { type: 'other'; message: string };

export interface ToolCallContent {
  type: 'tool-call';
  toolCallId: string;
  toolName: string;
  /** JSON. */
  input: string;
}

export interface FinishReason {
  unified: 'stop' | 'length' | 'tool-calls';
  raw: string | undefined;
}

/** In tokens. */
export interface Usage {
  inputTokens: { total: number; noCache: number; cacheRead: number; cacheWrite: undefined };
  outputTokens: { total: number; text: number; reasoning: number };
}

export interface ResponseMetadata {
  id: string;
  timestamp: Date;
  modelId: string;
}

export interface FinishPart {
  type: 'finish';
  finishReason: FinishReason;
  usage: Usage;
}

export type StreamPart =
  | { type: 'stream-start'; warnings: Warning[] }
  | ({ type: 'response-metadata' } & ResponseMetadata)
  | { type: 'reasoning-start'; id: string }
  | { type: 'reasoning-delta'; id: string; delta: string }
  | { type: 'reasoning-end'; id: string }
  | { type: 'text-start'; id: string }
  | { type: 'text-delta'; id: string; delta: string }
  | { type: 'text-end'; id: string }
  | { type: 'tool-input-start'; id: string; toolName: string }
  | { type: 'tool-input-delta'; id: string; delta: string }
  | { type: 'tool-input-end'; id: string }
  | ToolCallContent
  | FinishPart;

export type Content = { type: 'text' | 'reasoning'; text: string } | ToolCallContent;

export interface GenerateResult {
  content: Content[];
  finishReason: FinishReason;
  usage: Usage;
  warnings: Warning[];
  response: ResponseMetadata;
}

/** The SDK's language model. */
export interface LanguageModel<V extends Version = Version> {
  readonly specificationVersion: V;
  readonly provider: string;
  readonly modelId: string;
  readonly supportedUrls: Record<string, RegExp[]>;
  doGenerate(options: CallOptions): Promise<GenerateResult>;
  doStream(options: CallOptions): Promise<{ stream: ReadableStream<StreamPart> }>;
}

export interface EmbedOptions {
  values: readonly string[];
  /** Version 4 only. */
  dimensions?: number | undefined;
  abortSignal?: AbortSignal | undefined;
}

/** The SDK's embedding model. */
export interface EmbeddingModel<V extends Version = Version> {
  readonly specificationVersion: V;
  readonly provider: string;
  readonly modelId: string;
  readonly maxEmbeddingsPerCall: number;
  readonly supportsParallelCalls: boolean;
  doEmbed(options: EmbedOptions): Promise<{ embeddings: number[][]; usage: { tokens: number }; warnings: Warning[] }>;
}

export interface RerankOptions {
  documents: { type: 'text'; values: readonly string[] } | { type: 'object'; values: readonly unknown[] };
  query: string;
  topN?: number | undefined;
  abortSignal?: AbortSignal | undefined;
}

/** The SDK's reranking model. */
export interface RerankingModel<V extends Version = Version> {
  readonly specificationVersion: V;
  readonly provider: string;
  readonly modelId: string;
  /** The best first. */
  doRerank(options: RerankOptions): Promise<{ ranking: { index: number; relevanceScore: number }[] }>;
}

/** The SDK's provider, which is also a function of a model's name. */
export interface Provider<V extends Version = Version> {
  (modelId: string): LanguageModel<V>;
  readonly specificationVersion: V;
  languageModel(modelId: string): LanguageModel<V>;
  embeddingModel(modelId: string): EmbeddingModel<V>;
  /** The name of earlier releases. */
  textEmbeddingModel(modelId: string): EmbeddingModel<V>;
  rerankingModel(modelId: string): RerankingModel<V>;
  imageModel(modelId: string): never;
}
