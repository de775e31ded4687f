// META: title=split, in the form of older checkouts
// META: script=../resources/older_utils.js

'use strict';

const tests = [{
  name: 'split into two',
  graph: {
    inputs: {x: {data: [1, 2, 3, 4], descriptor: {dimensions: [4], dataType: 'uint32'}}},
    operators: [{name: 'split', arguments: [{input: 'x'}, {splits: [1, 3]}], outputs: ['first', 'second']}],
    expectedOutputs: {
      first: {data: [1], descriptor: {dimensions: [1], dataType: 'uint32'}},
      second: {data: [2, 3, 4], descriptor: {dimensions: [3], dataType: 'uint32'}}
    }
  }
}];

if (navigator.ml) {
  tests.forEach((test) => {
    webnn_conformance_test(buildAndExecuteGraph, () => ({metricType: 'ATOL', value: 0.5}), test);
  });
} else {
  test(() => assert_implements(navigator.ml, 'missing navigator.ml'));
}
