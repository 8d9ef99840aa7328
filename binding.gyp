# Lets `npm install` and prebuildify build the addon: node-gyp calls, CMake does the work. The .node file lands in
# build/Release, where node-gyp-build looks for it.
{
  "targets": [{
    "target_name": "helvetia",
    "type": "none",
    "actions": [{
      "action_name": "configure",
      "inputs": ["CMakeLists.txt"],
      "outputs": ["<(module_root_dir)/build/cmake/CMakeCache.txt"],
      "action": ["cmake", "-S", "<(module_root_dir)", "-B", "<(module_root_dir)/build/cmake", "-DCMAKE_BUILD_TYPE=Release"]
    }, {
      "action_name": "build",
      "inputs": ["<(module_root_dir)/build/cmake/CMakeCache.txt"],
      "outputs": ["<(module_root_dir)/build/always"],
      "action": ["cmake", "--build", "<(module_root_dir)/build/cmake", "--config", "Release", "--parallel"]
    }]
  }]
}
