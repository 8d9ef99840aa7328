// The package for `require`: the same modules as for `import`, so both share one state.
module.exports = require('./dist/lib/index.js');
