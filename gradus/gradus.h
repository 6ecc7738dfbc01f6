// All of Gradus: #include <gradus/gradus.h>
#pragma once

#include "autograd/autograd.h"
#include "autograd/node.h"
#include "autograd/ops.h"
#include "nn/module.h"
#include "tensor/random.h"
#include "tensor/tensor.h"
