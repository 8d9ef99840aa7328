# Lets `node-gyp rebuild` make the addon: gyp only starts the build of CMakeLists.txt, by cmake-js, which leaves
# helvetia.node in build/Release. npm itself does not run it at an install ("gypfile": false in package.json).
{
  "targets": [{
    "target_name": "helvetia",
    "type": "none",
    "actions": [{
      "action_name": "cmake",
      "message": "Building helvetia.node by CMake",
      "inputs": ["CMakeLists.txt"],
      # No such file is ever made: CMake alone decides what is out of date.
      "outputs": ["<(module_root_dir)/build/always"],
      "action": ["node", "<(module_root_dir)/scripts/addon.mjs"]
    }]
  }]
}
