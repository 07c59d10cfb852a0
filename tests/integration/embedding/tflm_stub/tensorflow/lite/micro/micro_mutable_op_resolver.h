#pragma once

#include "tensorflow/lite/schema/schema_generated.h"

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };

struct TFLMRegistration {
  tflite::BuiltinOperator op;
};

namespace tflite {

class MicroOpResolver {
 public:
  virtual ~MicroOpResolver() = default;
  virtual const TFLMRegistration *FindOp(BuiltinOperator op) const = 0;
  virtual bool full() const = 0;
};

template <unsigned int tOpCount>
class MicroMutableOpResolver : public MicroOpResolver {
 public:
  TfLiteStatus AddAdd() { return Add(BuiltinOperator_ADD); }
  TfLiteStatus AddConcatenation() { return Add(BuiltinOperator_CONCATENATION); }
  TfLiteStatus AddConv2D() { return Add(BuiltinOperator_CONV_2D); }
  TfLiteStatus AddMaxPool2D() { return Add(BuiltinOperator_MAX_POOL_2D); }
  TfLiteStatus AddMean() { return Add(BuiltinOperator_MEAN); }
  TfLiteStatus AddMul() { return Add(BuiltinOperator_MUL); }
  TfLiteStatus AddSoftmax() { return Add(BuiltinOperator_SOFTMAX); }
  bool full() const override { return count_ == tOpCount; }
  const TFLMRegistration *FindOp(BuiltinOperator op) const override {
    for (unsigned int k = 0; k < count_; k++) {
      if (registrations_[k].op == op) return &registrations_[k];
    }
    return nullptr;
  }

 private:
  TfLiteStatus Add(BuiltinOperator op) {
    if (count_ == tOpCount) return kTfLiteError;
    registrations_[count_++].op = op;
    return kTfLiteOk;
  }
  unsigned int count_ = 0;
  TFLMRegistration registrations_[tOpCount] = {};
};

}  // namespace tflite
