// META: title=the life of contexts, which no case file can say
// META: script=../resources/utils_validation.js

'use strict';

promise_test(async t => {
  const mine = await navigator.ml.createContext();
  const builder = new MLGraphBuilder(mine);
  const x = builder.input('x', {dataType: 'float32', shape: [1]});
  mine.destroy();
  assert_throws_dom('InvalidStateError', () => builder.relu(x));
}, 'a destroyed context');

promise_test(async t => {
  const builder = new MLGraphBuilder(context);
  const output = builder.relu(builder.input('x', {dataType: 'float32', shape: [1]}));
  assert_throws_js(RangeError, () => builder.relu(output));
}, 'an error of another class');

promise_test(async t => {
  const builder = new MLGraphBuilder(context);
  const output = builder.relu(builder.input('x', {dataType: 'float32', shape: [1]}));
  builder.reshape(output, [output.shape[0], 1]);
}, 'a shape that is used');

promise_test(async t => {
  const builder = new MLGraphBuilder(context);
  try {
    builder.relu(builder.input('x', {dataType: 'float32', shape: [{name: 'batch', maxSize: 4}]}));
  } catch (e) {
    assert_true(false);
  }
}, 'a dimension with a name');

promise_test(async t => {
  assert_something_new(1);
}, 'an assertion that is not known');
