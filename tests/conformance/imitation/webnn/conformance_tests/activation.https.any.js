// META: title=a few activations
// META: global=window
// META: variant=?cpu
// META: script=../resources/utils.js
// META: timeout=long

'use strict';

const relu = (name, data, expected, dataType, shape, constant) => ({
  name,
  graph: {
    inputs: {x: {data, descriptor: {shape, dataType}, constant}},
    operators: [{name: 'relu', arguments: [{input: 'x'}], outputs: 'y'}],
    expectedOutputs: {y: {data: expected, descriptor: {shape, dataType}}}
  }
});

const activationTests = [
  relu('relu of float32', [-1, -0, 0.1, Infinity], [0, 0, 0.1, Infinity], 'float32', [2, 2]),
  relu('relu of float16 as a constant', [-1, 0.1], [0, 0.1], 'float16', [2], true),
  relu('relu of NaN', [NaN], [NaN], 'float32', [1]),
  relu('relu of one number everywhere', 3, 3, 'float32', [40, 50]),
  relu('relu of a typed array', new Int8Array([-5, 5]), [0, 5], 'int8', [2]),
  relu('relu of too few numbers', [1], [1], 'float32', [2]),
  {
    name: 'sigmoid of float16',
    graph: {
      inputs: {x: {data: [0], descriptor: {shape: [], dataType: 'float16'}}},
      operators: [{name: 'sigmoid', arguments: [{input: 'x'}], outputs: 'y'}],
      expectedOutputs: {y: {data: [0.5], descriptor: {shape: [], dataType: 'float16'}}}
    }
  },
  {
    name: 'a product of a product, then relu',
    graph: {
      inputs: {
        a: {data: [1, 2], descriptor: {shape: [1, 2], dataType: 'float32'}},
        b: {data: [1, 2, 3, 4], descriptor: {shape: [2, 2], dataType: 'float32'}, constant: true}
      },
      operators: [
        {name: 'matmul', arguments: [{a: 'a'}, {b: 'b'}], outputs: 'ab'},
        {name: 'matmul', arguments: [{a: 'ab'}, {b: 'b'}], outputs: 'abb'},
        {name: 'relu', arguments: [{input: 'abb'}, {options: {label: 'last'}}], outputs: 'y'}
      ],
      expectedOutputs: {y: {data: [37, 54], descriptor: {shape: [1, 2], dataType: 'float32'}}}
    }
  },
  {
    name: 'clamp of large int64',
    graph: {
      inputs: {x: {data: [9007199254740993n, -5n], descriptor: {shape: [2], dataType: 'int64'}}},
      operators: [{name: 'clamp', arguments: [{input: 'x'}, {options: {minValue: -4n}}], outputs: 'y'}],
      expectedOutputs: {y: {data: [9007199254740993n, -4n], descriptor: {shape: [2], dataType: 'int64'}}}
    }
  }
];

webnn_conformance_test(activationTests, buildAndExecuteGraph, getPrecisionTolerance);
