// META: title=inputs and constants
// META: script=/webnn/resources/utils_validation.js

'use strict';

const inputs = [
  {name: 'an input', descriptor: {dataType: 'int64', shape: [3]}, output: true},
  {name: 'a dimension of 0', descriptor: {dataType: 'float32', shape: [3, 0]}},
  {name: 'a type that is none', descriptor: {dataType: 'int16', shape: [3]}},
  {name: '', descriptor: {dataType: 'float32', shape: [3]}},
];

inputs.forEach(test => promise_test(async t => {
  const builder = new MLGraphBuilder(context);
  if (test.output) {
    const operand = builder.input(test.name, test.descriptor);
    assert_equals(operand.dataType, test.descriptor.dataType);
    assert_array_equals(operand.shape, test.descriptor.shape);
  } else {
    assert_throws_js(TypeError, () => builder.input(test.name, test.descriptor));
  }
}, `[input] ${test.name}`));

const constants = [
  {type: Float32Array, byteLength: 24, dataType: 'float32', isRight: true},
  {type: Float16Array, byteLength: 12, dataType: 'float16', isRight: true},
  {type: Uint8Array, byteLength: 24, dataType: 'float32', isRight: true},
  {type: Float32Array, byteLength: 20, dataType: 'float32'},
  {type: Int32Array, byteLength: 24, dataType: 'float32'},
  {type: Uint16Array, byteLength: 12, dataType: 'float16', isRight: true},
];

constants.forEach(test => promise_test(async t => {
  const builder = new MLGraphBuilder(context);
  const view = new test.type(new ArrayBuffer(test.byteLength));
  const make = () => builder.constant({dataType: test.dataType, shape: [2, 3]}, view);
  test.isRight ? assert_array_equals(make().shape, [2, 3]) : assert_throws_js(TypeError, make);
}, `[constant] ${test.byteLength} bytes for ${test.dataType}`));

promise_test(async t => {
  const builder = new MLGraphBuilder(context);
  assert_equals(builder.constant('uint64', 18446744073709551615n).dataType, 'uint64');
  assert_throws_js(TypeError, () => builder.constant('int16', 1));
}, '[constant] of a number');

promise_test(async t => {
  assert_throws_js(TypeError, () => new MLGraphBuilder(context).constant('float32', 1n));
}, '[constant] of a BigInt for float32');
