// META: title=operators and what they refuse
// META: script=../resources/utils_validation.js

'use strict';

const label = 'here_123';
const tests = [
  {name: '[softmax] along the last axis', input: {dataType: 'float32', shape: [2, 3]}, axis: 1,
    output: {dataType: 'float32', shape: [2, 3]}},
  {name: '[softmax] along an axis that is not there', input: {dataType: 'float32', shape: [2, 3]}, axis: 2,
    options: {label}},
  {name: '[softmax] of integers', input: {dataType: 'int32', shape: [2, 3]}, axis: 0},
];

tests.forEach(test => promise_test(async t => {
  const builder = new MLGraphBuilder(context);
  const input = builder.input('input', test.input);
  if (test.output) {
    const output = builder.softmax(input, test.axis);
    assert_equals(output.dataType, test.output.dataType);
    assert_array_equals(output.shape, test.output.shape);
  } else if (test.options) {
    assert_throws_with_label(() => builder.softmax(input, test.axis, test.options), /\[here_123\]/);
  } else {
    assert_throws_js(TypeError, () => builder.softmax(input, test.axis));
  }
}, test.name));

validateTypes('elu', 'elu_7');
validateRanks('averagePool2d', 'input', (builder, input) => builder.averagePool2d(input));

const gemm = [
  {name: '[gemm] with a c that fits', c: {dataType: 'float32', shape: [4]}, output: {shape: [2, 4]}},
  {name: '[gemm] with a c that does not', c: {dataType: 'float32', shape: [3]}},
];

gemm.forEach(test => promise_test(async t => {
  const builder = new MLGraphBuilder(context);
  const a = builder.input('a', {dataType: 'float32', shape: [2, 3]});
  const b = builder.constant({dataType: 'float32', shape: [3, 4]}, new Float32Array(12));
  // As the published tests do: the data of the test is changed, so it cannot be run twice.
  test.options = {c: builder.input('c', test.c), alpha: 2.5, beta: 0.5, label: 'gemm'};
  if (test.output) {
    assert_array_equals(builder.gemm(a, b, test.options).shape, test.output.shape);
  } else {
    assert_throws_with_label(() => builder.gemm(a, b, test.options), /\[gemm\]/);
  }
}, test.name));

multi_builder_test(async (t, builder, otherBuilder) => {
  const x = builder.input('x', {dataType: 'float32', shape: [2]});
  const other = otherBuilder.input('x', {dataType: 'float32', shape: [2]});
  assert_throws_js(TypeError, () => builder.concat([x, other], 0));
  assert_throws_js(TypeError, () => builder.add(x, other));
}, 'operands of another builder');

promise_test(async t => {
  const builder = new MLGraphBuilder(context);
  const input = builder.input('input', {dataType: 'float32', shape: [4, 6]});
  const parts = builder.split(input, 3, {axis: 1});
  assert_equals(parts.length, 3);
  const turned = builder.transpose(parts[2]);
  const output = builder.add(turned, turned);
  assert_equals(output.dataType, 'float32');
  assert_array_equals(output.shape, [2, 4]);
  assert_throws_js(TypeError, () => builder.add(turned, parts[0]));
}, 'results as operands');

promise_test(async t => {
  const builder = new MLGraphBuilder(context);
  const bytes = context.opSupportLimits().maxTensorByteLength;
  const a = builder.input('a', {dataType: 'float32', shape: [bytes / 4, 1]});
  const b = builder.input('b', {dataType: 'float32', shape: [1, 5]});
  assert_throws_js(TypeError, () => builder.add(a, b));
}, 'a result that is too large');

promise_test(async t => {
  const builder = new MLGraphBuilder(context);
  const input = builder.input('input', {dataType: 'float32', shape: [2, 3]});
  for (const axis of ['abc', BigInt(100), {value: 1}, [0, 1], new Date('2024-01-01'), -1, 2 ** 32]) {
    assert_throws_js(TypeError, () => builder.reduceSum(input, {axes: [axis]}));
  }
}, 'axes that are no axes');

promise_test(async t => {
  const builder = new MLGraphBuilder(context);
  assert_throws_js(TypeError, () => builder.cast('no operand', 'int8'));
  assert_throws_js(TypeError, () => builder.cast(builder.input('input', {dataType: 'int8', shape: [1]}), 'no type'));
}, 'words');

promise_test(async t => {
  const builder = new MLGraphBuilder(context);
  const input = builder.input('input', {dataType: 'int8', shape: [1]});
  assert_throws_with_label(() => builder.elu(input, {label: 'elu_\n_1'}), /\[elu_\?_1\]/);
}, 'a label that cannot be printed');

promise_test(async t => {
  const builder = new MLGraphBuilder(context);
  const state = {dataType: 'float16', shape: [5, 8]};
  const outputs = builder.lstmCell(
      builder.input('input', {dataType: 'float16', shape: [5, 3]}),
      builder.input('weight', {dataType: 'float16', shape: [32, 3]}),
      builder.input('recurrentWeight', {dataType: 'float16', shape: [32, 8]}), builder.input('hidden', state),
      builder.input('cell', state), 8);
  assert_equals(outputs.length, 2);
  outputs.forEach(output => assert_array_equals(output.shape, [5, 8]));
}, 'two results');
