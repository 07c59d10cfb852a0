// A stand-in for TensorFlow Lite for Microcontrollers, with the part of its interface that generated programs use.
// It runs no model: it answers a test vector with the expected output, if its pixels came in by the contract.
#pragma once

#include <cstdint>

#define TFLITE_SCHEMA_VERSION (3)

namespace tflite {

enum BuiltinOperator : int32_t {
  BuiltinOperator_ADD = 0,
  BuiltinOperator_CONCATENATION = 2,
  BuiltinOperator_CONV_2D = 3,
  BuiltinOperator_MAX_POOL_2D = 17,
  BuiltinOperator_MUL = 18,
  BuiltinOperator_RELU = 19,
  BuiltinOperator_SOFTMAX = 25,
  BuiltinOperator_MEAN = 40,
};

class OperatorCode {
 public:
  explicit constexpr OperatorCode(BuiltinOperator op) : op_(op) {}
  BuiltinOperator builtin_code() const { return op_; }
  int8_t deprecated_builtin_code() const { return static_cast<int8_t>(op_); }

 private:
  BuiltinOperator op_;
};

class OperatorCodes {
 public:
  uint32_t size() const { return sizeof kCodes / sizeof *kCodes; }
  const OperatorCode *Get(uint32_t k) const { return &kCodes[k]; }

 private:
  static constexpr OperatorCode kCodes[] = {
      OperatorCode(BuiltinOperator_CONV_2D), OperatorCode(BuiltinOperator_ADD),
      OperatorCode(BuiltinOperator_MEAN),
#ifdef STUB_MODEL_HAS_RELU
      OperatorCode(BuiltinOperator_RELU),
#endif
  };
};

class Model {
 public:
  uint32_t version() const { return TFLITE_SCHEMA_VERSION; }
  const OperatorCodes *operator_codes() const { return &codes_; }

 private:
  OperatorCodes codes_;
};

inline const Model *GetModel(const void *) {
  static Model model;
  return &model;
}

}  // namespace tflite
