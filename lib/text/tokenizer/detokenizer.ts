// Tokens back to text, one at a time: every token stands for some bytes, and a character is given out once its last
// byte is there. Decoding a whole list is the same walk, so the pieces of a stream always add up to the text.
//
// The rules come from a tokenizer.json's decoder: byte-level alphabets (GPT-2 and after), SentencePiece's "▁" and
// <0x0A> tokens, and the leading space that SentencePiece adds in front of a text and takes off again. A token costs
// the same wherever it stands. Invalid UTF-8 becomes U+FFFD, as the WHATWG decoder does it.

export interface DecoderJson {
  type: string;
  [field: string]: unknown;
}

/** What a tokenizer's decoder does to its tokens. */
export interface DecodingRules {
  /** Each character of a token is one byte, in GPT-2's alphabet. */
  byteLevel: boolean;
  /** `<0x0A>` is the byte 10. */
  byteTokens: boolean;
  replacements: readonly (readonly [from: string, to: string])[];
  /** This text, at most `leadCount` times, is taken off the beginning. */
  lead: string;
  leadCount: number;
  /** Put between tokens; word-level vocabularies have no spaces in them. */
  between: string;
  /** In front of tokens that go on with a word; a space is in front of all others. */
  continuation: string | undefined;
  /** English punctuation and endings follow without a space. */
  cleanup: boolean;
}

export interface DetokenizerOptions {
  /** Leave out control tokens such as `<|im_end|>`; true unless said otherwise. */
  skipSpecialTokens?: boolean;
  /** The tokens continue a text that came before: SentencePiece's leading space stays. */
  continues?: boolean;
}

/** GPT-2's alphabet: a printable character for each of the 256 bytes. */
export const byteOfCharacter: ReadonlyMap<string, number> = (() => {
  const bytes = new Map<string, number>();
  let shifted = 256;
  for (let byte = 0; byte < 256; byte += 1) {
    const printable = (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
    bytes.set(String.fromCharCode(printable ? byte : shifted++), byte);
  }
  return bytes;
})();

const sentencePieceByte = /^<0x([0-9A-Fa-f]{2})>$/;

/** @throws Error naming the decoder, where a tokenizer.json has one that no language model here uses. */
export function decodingRules(json: DecoderJson | null | undefined): DecodingRules {
  const rules: DecodingRules = {
    byteLevel: false,
    byteTokens: false,
    replacements: [],
    lead: ' ',
    leadCount: 0,
    between: '',
    continuation: undefined,
    cleanup: false,
  };
  if (!json) return { ...rules, between: ' ' };
  const steps = json.type === 'Sequence' ? (json.decoders as DecoderJson[]) : [json];
  for (const step of steps) {
    switch (step.type) {
      case 'ByteLevel':
        rules.byteLevel = true;
        break;
      case 'ByteFallback':
        rules.byteTokens = true;
        break;
      case 'Fuse':
        break;
      case 'Replace': {
        const from = (step.pattern as { String?: string } | undefined)?.String;
        if (from === undefined) throw new Error('tokenizer.json: a Replace decoder needs a "String" pattern');
        rules.replacements = [...rules.replacements, [from, String(step.content ?? '')]];
        break;
      }
      case 'Strip':
        if (step.stop) throw new Error('tokenizer.json: a Strip decoder that cuts the end is not supported');
        rules.lead = String(step.content ?? ' ');
        rules.leadCount = Number(step.start ?? 0);
        break;
      case 'Metaspace':
        rules.replacements = [...rules.replacements, [String(step.replacement ?? '▁'), ' ']];
        if (step.prepend_scheme !== 'never' && step.add_prefix_space !== false) rules.leadCount = 1;
        break;
      case 'WordPiece':
        rules.continuation = String(step.prefix ?? '##');
        rules.cleanup = step.cleanup !== false;
        rules.leadCount = 1;
        break;
      default:
        throw new Error(
          `tokenizer.json: decoder "${step.type}" is not supported; ` +
            'ByteLevel, ByteFallback, Fuse, Replace, Strip, Metaspace, WordPiece and sequences of them are',
        );
    }
  }
  return rules;
}

/** The bytes of each token, worked out when first asked for. */
export class TokenBytes {
  private readonly known: (Uint8Array | undefined)[] = [];
  private readonly encoder = new TextEncoder();

  constructor(
    readonly rules: DecodingRules,
    private readonly tokenOf: (id: number) => string | undefined,
    /** Added tokens stand for their own text, whatever the alphabet. */
    private readonly added: ReadonlySet<number>,
    readonly special: ReadonlySet<number>,
  ) {}

  /** Nothing for an id that is no token: models pad their vocabularies. */
  of(id: number): Uint8Array {
    const known = this.known[id];
    if (known) return known;
    const token = this.tokenOf(id);
    if (token === undefined) return none; // not kept: there is no end to such ids
    const bytes = this.bytes(id, token);
    this.known[id] = bytes;
    return bytes;
  }

  private bytes(id: number, token: string): Uint8Array {
    const { byteLevel, byteTokens, replacements } = this.rules;
    if (byteLevel && !this.added.has(id)) {
      const bytes = Array.from(token, (character) => byteOfCharacter.get(character));
      if (bytes.every((byte) => byte !== undefined)) return Uint8Array.from(bytes);
    }
    const byte = byteTokens ? sentencePieceByte.exec(token)?.[1] : undefined;
    if (byte !== undefined) return Uint8Array.of(Number.parseInt(byte, 16));
    for (const [from, to] of replacements) token = token.replaceAll(from, to);
    return this.encoder.encode(this.joined(token));
  }

  /** A WordPiece token as it stands behind others. */
  private joined(token: string): string {
    const { continuation, cleanup } = this.rules;
    if (continuation === undefined) return token;
    if (token.startsWith(continuation)) return token.slice(continuation.length);
    return cleanup ? ` ${token}`.replace(attached, '$1') : ` ${token}`;
  }
}

/** What follows a word without a space, where a token begins with it. */
const attached = /^ ([.?!,]|n't|'m|'s|'ve|'re)/;

const none = new Uint8Array(0);

export class Detokenizer {
  private readonly decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  private readonly between: Uint8Array;
  private leadLeft: number;
  private started = false;

  constructor(
    private readonly tokens: TokenBytes,
    private readonly options: DetokenizerOptions = {},
  ) {
    this.leadLeft = options.continues ? 0 : tokens.rules.leadCount;
    this.started = options.continues ?? false;
    this.between = new TextEncoder().encode(tokens.rules.between);
  }

  /** The text that is certain with this token; empty while a character waits for its last byte. */
  push(id: number): string {
    if (this.options.skipSpecialTokens !== false && this.tokens.special.has(id)) return '';
    const bytes = this.tokens.of(id);
    if (bytes.length === 0) return '';
    let text = '';
    if (this.started && this.between.length > 0) text = this.decoder.decode(this.between, { stream: true });
    this.started = true;
    return this.withoutLead(text + this.decoder.decode(bytes, { stream: true }));
  }

  /** What is left at the end: U+FFFD where a character was never finished. */
  flush(): string {
    return this.withoutLead(this.decoder.decode());
  }

  private withoutLead(text: string): string {
    if (this.leadLeft === 0 || text === '') return text;
    const { lead } = this.tokens.rules;
    let at = 0;
    while (this.leadLeft > 0 && lead !== '' && text.startsWith(lead, at)) {
      at += lead.length;
      this.leadLeft -= 1;
    }
    if (at < text.length) this.leadLeft = 0;
    return text.slice(at);
  }
}
