// Every family's case list, by the family's name.
import { cases as adamw } from './adamw.js';
import { cases as attention } from './attention.js';
import type { Case } from './case.js';
import { cases as conv } from './conv.js';
import { cases as copy } from './copy.js';
import { cases as delta } from './delta.js';
import { cases as elementwise } from './elementwise.js';
import { cases as embedding } from './embedding.js';
import { cases as experts } from './experts.js';
import { cases as gated } from './gated.js';
import { cases as grouped } from './grouped.js';
import { cases as lora } from './lora.js';
import { cases as loss } from './loss.js';
import { cases as matmul } from './matmul.js';
import { cases as norm } from './norm.js';
import { cases as paged } from './paged.js';
import { cases as quant } from './quant.js';
import { cases as random } from './random.js';
import { cases as reduce } from './reduce.js';
import { cases as rope } from './rope.js';
import { cases as sample } from './sample.js';
import { cases as softmax } from './softmax.js';
import { cases as view } from './view.js';

export const families: Readonly<Record<string, readonly Case[]>> = {
  adamw,
  attention,
  conv,
  copy,
  delta,
  elementwise,
  embedding,
  experts,
  gated,
  grouped,
  lora,
  loss,
  matmul,
  norm,
  paged,
  quant,
  random,
  reduce,
  rope,
  sample,
  softmax,
  view,
};
