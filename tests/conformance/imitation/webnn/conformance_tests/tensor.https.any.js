// META: title=the life of tensors, which no case file can say
// META: script=../resources/utils.js

'use strict';

promise_test(async t => {
  const context = await navigator.ml.createContext();
  const tensor = await context.createTensor({dataType: 'float32', shape: [1]});
  tensor.destroy();
}, 'a tensor can be destroyed');

promise_test(async t => {
  const context = await navigator.ml.createContext();
  const builder = new MLGraphBuilder(context);
  const output = builder.relu(builder.input('x', {dataType: 'float32', shape: [1]}));
  try {
    await builder.build({output});
  } catch (e) {
  }
}, 'a graph is built');
