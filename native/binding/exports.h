// What each file of the binding adds to the addon's exports.
#pragma once
#include <napi.h>

void addTensors(Napi::Env env, Napi::Object exports);
void addDevices(Napi::Env env, Napi::Object exports);
