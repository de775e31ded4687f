'use strict';

// A small imitation of the shared part of the published validation tests, to try the converter on.

const allTypes = ['float32', 'float16', 'int32', 'uint32', 'int64', 'uint64', 'int8', 'uint8'];
const someShapes = [[], [2], [2, 3]];

let context;
let count = 0;

test(() => assert_not_equals(navigator.ml, undefined), 'there is a WebNN');

promise_setup(async () => {
  context = await navigator.ml.createContext({deviceType: location.search.substring(1)});
}, {explicit_timeout: true});

function assert_throws_with_label(func, regexp) {
  try {
    func.call(this);
    assert_unreached('the call succeeded');
  } catch (e) {
    assert_equals(e.name, 'TypeError');
    assert_not_equals(e.message.match(regexp), null);
  }
}

function multi_builder_test(func, description) {
  promise_test(async t => {
    await func(t, new MLGraphBuilder(context), new MLGraphBuilder(context));
  }, description);
}

function validateTypes(operator, label) {
  promise_test(async t => {
    const builder = new MLGraphBuilder(context);
    for (const dataType of context.opSupportLimits()[operator].input.dataTypes) {
      for (const shape of someShapes) {
        const output = builder[operator](builder.input(`input${++count}`, {dataType, shape}));
        assert_equals(output.dataType, dataType);
        assert_array_equals(output.shape, shape);
      }
    }
  }, `[${operator}] takes the types it says`);

  promise_test(async t => {
    const builder = new MLGraphBuilder(context);
    const taken = new Set(context.opSupportLimits()[operator].input.dataTypes);
    for (const dataType of new Set(allTypes).difference(taken)) {
      const input = builder.input('input', {dataType, shape: [2]});
      assert_throws_with_label(() => builder[operator](input, {label}), new RegExp('\\[' + label + '\\]'));
    }
  }, `[${operator}] takes no other type`);
}

function validateRanks(operator, operandKey, build) {
  const {min, max} = context?.opSupportLimits()[operator][operandKey].rankRange ?? {};
  assert_equals(min, undefined);  // the context is not there yet: limits are read inside the tests
  promise_test(async t => {
    const {rankRange} = context.opSupportLimits()[operator][operandKey];
    for (let rank = 0; rank <= context.opSupportLimits().input.rankRange.max; rank++) {
      const builder = new MLGraphBuilder(context);
      const input = builder.input(operandKey, {dataType: 'float32', shape: Array(rank).fill(2)});
      let thrown;
      try {
        const output = build(builder, input);
        assert_true(output instanceof MLOperand);
      } catch (e) {
        thrown = e;
      }
      const isOutside = rank < rankRange.min || rank > rankRange.max;
      if (isOutside) {
        assert_true(thrown instanceof TypeError, `rank ${rank} should be refused`);
      } else {
        assert_equals(thrown, undefined);
      }
    }
  }, `[${operator}] takes the ranks it says`);
}
