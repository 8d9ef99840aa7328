// DeepSeek V3.2: elements with attributes in a markup of its own, where each parameter says whether it is a string.

import { taggedParameters } from '../tagged-parameters.js';
import { type Dialect, writesCallsAs } from './dialect.js';

export const deepseekMarkup: Dialect = {
  name: 'deepseek-markup',
  ...taggedParameters({
    open: '<｜DSML｜function_calls>',
    close: '</｜DSML｜function_calls>',
    callOpen: '<｜DSML｜invoke name="',
    nameEnd: '">',
    callClose: '</｜DSML｜invoke>',
    keyOpen: '<｜DSML｜parameter name="',
    keyEnd: '">',
    typed: { string: '" string="true">', other: '" string="false">' },
    valueClose: '</｜DSML｜parameter>',
    listed: true,
  }),
  recognises: writesCallsAs(/<｜DSML｜invoke name="probe_function">/),
};
