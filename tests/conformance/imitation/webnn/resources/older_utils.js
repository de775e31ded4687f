'use strict';

// Older checkouts call the function once for each test, with the test as the last argument.

const buildAndExecuteGraph = async () => {};

const webnn_conformance_test = (build, tolerance, test) => {
  promise_test(async () => {
    const context = await navigator.ml.createContext();
    await build(context, new MLGraphBuilder(context), test.graph);
  }, test.name);
};
