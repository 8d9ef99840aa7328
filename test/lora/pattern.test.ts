// Patterns of adapter configs: the syntax agrees with the engine's own matcher, and no expression takes exponential time.
import { describe, expect, it } from 'vitest';
import { LoraModules } from '../../lib/lora/modules.js';
import { Effort, Pattern, PatternError } from '../../lib/lora/pattern.js';

const paths = ['model.layers.0.self_attn.q_proj', 'model.layers.17.mlp.up_proj', 'visual.blocks.3.attn.qkv', 'lm_head'];
const fits = (source: string, text: string): boolean => new Pattern(source, new Effort()).matches(text);

describe('a pattern', () => {
  it.each([
    String.raw`.*\.(?:q|up)_proj`,
    String.raw`model\.layers\.(?:[0-9]|1[0-5])\..*`,
    String.raw`^(?!visual\b).*`,
    String.raw`(?:.*?(?:language|text|model).*?(?:self_attn|mlp).*?(?:q_proj|up_proj).*?)|(?:\bvisual\.blocks\.[\d]{1,}\.attn\.qkv)`,
    String.raw`^(model)(?=\.).*\.(q_proj|up_proj)$`,
    String.raw`[^.]+(?:\.[\w-]+)*`,
    'lm_head|',
    'lm.head',
    String.raw`lm\.head`,
    String.raw`visual\.blocks\.3.attn\.qkv`,
    String.raw`(?:\w+\.){4}\w+_\Bproj`,
    String.raw`.{8,}[^\W\d]`,
    String.raw`a{,}|.*\x70roj`,
    '(?<kind>.+)_head',
    '.*{0}lm_.{4}?'.replace('.*{0}', '.{0}'),
    '(?:(?:a*)*)*lm_head',
  ])('%s matches what a backtracking matcher matches', (source) => {
    const expected = new RegExp(`^(?:${source})$`);
    expect(paths.map((path) => fits(source, path))).toEqual(paths.map((path) => expected.test(path)));
  });

  it("understands Python's own forms", () => {
    expect(fits('(?P<kind>lm)_head', 'lm_head')).toBe(true);
    expect(fits('(?i)LM_[]H]EAD', 'lm_head')).toBe(true);
    expect(fits(String.raw`\Alm_head\Z`, 'lm_head')).toBe(true);
  });

  it.each([
    ['*q_proj', 'nothing to repeat'],
    ['(q_proj', "'(' without a ')'"],
    ['q_proj)', "')' without a '('"],
    ['[q', "'[' without a ']'"],
    ['[z-a]', 'out of order'],
    ['q{3,2}', 'out of order'],
    ['q\\', 'a backslash at the end'],
    [String.raw`(q)\1`, String.raw`'\1' is not supported`],
    ['(?<=x)q', "'(?<' is not supported"],
    ['a++', 'a possessive quantifier is not supported'],
    ['a**', 'a quantifier of a quantifier'],
    [`${'('.repeat(99)}q${')'.repeat(99)}`, 'nested more than 64 deep'],
    ['(?:q{999}){999}', 'is too large'],
  ])('%j is refused', (source, words) => {
    expect(() => new Pattern(source, new Effort())).toThrow(PatternError);
    expect(() => new Pattern(source, new Effort())).toThrow(words);
  });

  it.each(['(([a-z]+)*\\.?)+#', '(.*)*(.*)*(.*)*x', '(a|a?)+$', '(?:(?=(?:.*)*).)*#'])(
    '%s takes few steps on a text that it does not match',
    (source) => {
      let steps = 0;
      const counting = new (class extends Effort {
        override spend(count: number): void {
          steps += count;
        }
      })();
      expect(new Pattern(source, counting).matches('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!')).toBe(false);
      expect(steps).toBeLessThan(50_000);
    },
  );

  it('is refused where it takes too much effort all the same', () => {
    const pattern = new Pattern('(?:(?=.*#)?.){40}'.repeat(9), new Effort());
    expect(() => pattern.matches('a.'.repeat(40_000))).toThrow('takes too long to match');
  });
});

describe('the modules of a config', () => {
  const config = {
    r: 8,
    loraAlpha: 16,
    loraDropout: 0,
    targetModules: ['q_proj', 'v_proj'] as string | string[],
    excludeModules: undefined,
    useRslora: false,
    rankPattern: {},
    alphaPattern: {},
    baseModel: undefined,
  };
  const layers = [0, 1, 2, 3].flatMap((i) => [`model.layers.${i}.attn.q_proj`, `model.layers.${i}.attn.k_proj`]);
  const targets = (change: object): string[] => {
    const modules = new LoraModules({ ...config, ...change });
    return layers.filter((path) => modules.isTarget(path)).map((path) => path.slice('model.layers.'.length));
  };

  it('are those of the chosen layers', () => {
    expect(targets({ layersToTransform: [1, 3] })).toEqual(['1.attn.q_proj', '3.attn.q_proj']);
    expect(targets({ layersToTransform: [1], layersPattern: ['blocks', 'layers'] })).toEqual(['1.attn.q_proj']);
    expect(targets({ layersToTransform: [1], layersPattern: ['blocks'] })).toEqual([]);
    // A whole path is taken whatever its layer.
    expect(targets({ layersToTransform: [1], targetModules: ['model.layers.2.attn.k_proj', 'q_proj'] })).toEqual([
      '1.attn.q_proj',
      '2.attn.k_proj',
    ]);
  });

  it('are not the excluded ones', () => {
    expect(targets({ targetModules: 'all-linear', excludeModules: ['q_proj', '2.attn.k_proj'] })).toEqual([
      '0.attn.k_proj',
      '1.attn.k_proj',
      '3.attn.k_proj',
    ]);
    expect(targets({ targetModules: '.*_proj', excludeModules: String.raw`.*\.[0-2]\..*|.*q_proj` })).toEqual([
      '3.attn.k_proj',
    ]);
  });

  it('have the rank of the first pattern that fits the end of their path', () => {
    const modules = new LoraModules({
      ...config,
      rankPattern: { '[01].attn.q_proj': 2, q_proj: 4, proj: 64, '^model.layers.3.*': 5 },
      alphaPattern: { 'k_proj|v_proj': 32 },
    });
    const ranks = layers.map((path) => modules.rankAndScaling(path).r);
    expect(ranks).toEqual([2, 8, 2, 8, 4, 8, 4, 5]);
    expect(modules.rankAndScaling(layers[1]!).scaling).toBe(4);
  });
});
