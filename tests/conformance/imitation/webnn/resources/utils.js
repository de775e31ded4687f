'use strict';

// A small imitation of the shared part of the published tests, to try the converter on.

const allowedDistances = {relu: {float32: 0, float16: 0}, sigmoid: {float32: 34, float16: 10}};

const variant = new URLSearchParams(location.search).get('device') || location.search.substring(1);

const typeOfFirstOutput = ({expectedOutputs}) => Object.values(expectedOutputs)[0].descriptor.dataType;

const getPrecisionTolerance = (graph, intermediateOperands) => {
  let value = 0;
  for (const {name, arguments: given} of graph.operators) {
    if (name === 'matmul') {
      const first = given[0].a;
      const shape = first in graph.inputs ? graph.inputs[first].descriptor.shape : intermediateOperands[first].shape;
      value += 2 * shape[shape.length - 1];
    } else {
      value += allowedDistances[name]?.[typeOfFirstOutput(graph)] ?? 0;
    }
  }
  return {metricType: 'ULP', value};
};

const buildAndExecuteGraph = async (context, builder) => {
  throw new Error('nothing is executed while tests are converted');
};

async function webnn_conformance_test(tests, build, tolerance) {
  promise_setup(async () => {
    await fetch('/webnn/resources/some.json');
  });
  tests.forEach((test) => promise_test(async () => build(null, null, test.graph), `[required] ${test.name}`));
}
