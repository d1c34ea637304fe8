// SPDX-License-Identifier: Apache-2.0
#include "engine/dispatch.h"
#include "engine/ops.h"
#include "engine/ops/check.h"
#include "kernels/cast.h"
#include "kernels/columns.h"
#include "kernels/fill.h"

namespace hourglass {

Var reshape(const Var& x, const Shape& shape) {
  if (shape.elements() != x.shape.elements()) {
    refuse("reshape",
           to_string(shape) + " expects " + std::to_string(shape.elements()) + " elements, x is " + to_string(x.shape));
  }
  Var y = x;
  y.shape = shape;
  return y;
}

Var full(Tape& tape, const Shape& shape, Dtype dtype, double value) {
  const Var y = tape.constant(shape, dtype);
  dispatch(tape.ctx(), dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    fill(lane, FillShape{shape.elements()}, Weight{value}, y.as<T>());
  });
  return y;
}

namespace {

template <class T>
constexpr bool kOnCuda = std::is_same_v<std::remove_cvref_t<T>, cuda::Lane<typename std::remove_cvref_t<T>::type>>;

void cast_values(const Context& ctx, int64_t n, const void* x, Dtype from, const Slot& y) {
  dispatch(ctx, from, [&](auto lane) {
    using From = typename decltype(lane)::type;
    dispatch(ctx, y.dtype, [&](auto to) {
      if constexpr (kOnCuda<decltype(lane)> == kOnCuda<decltype(to)>) {
        cast(lane, CastShape{n}, static_cast<const From*>(x), y.as<typename decltype(to)::type>());
      }
    });
  });
}

}  // namespace

Var cast(Tape& tape, const Var& x, Dtype dtype) {
  check_dtypes("cast", {x});
  if (dtype == Dtype::kI32 || dtype == Dtype::kU8)
    refuse("cast", std::string("no kernels for dtype ") + name_of(dtype));
  if (x.dtype == dtype) return x;
  const Var y = tape.output(x.shape, dtype, {x});
  cast_values(tape.ctx(), x.shape.elements(), x.data, x.dtype, {y.data, Write::kSet, dtype});
  tape.on_backward("cast", {y}, [x, y](Tape& t) {
    // Of a parameter it is kept in f32, whatever x is.
    const Slot dx = t.grad_slot(x);
    cast_values(t.ctx(), x.shape.elements(), t.output_grad(y), y.dtype, dx);
  });
  return y;
}

Var slice(Tape& tape, const Var& x, int first, int count) {
  check_rank("slice", "x", x, 2);
  check_dtypes("slice", {x});
  if (first < 0 || count < 0 || int64_t{first} + count > x.shape[1]) {
    refuse("slice", "columns " + std::to_string(first) + " .. " + std::to_string(int64_t{first} + count) + " of x " +
                        to_string(x.shape));
  }
  const ColumnsShape s{x.shape[0], x.shape[1], count, first, 0, count};
  const Var y = tape.output({x.shape[0], count}, x.dtype, {x});
  dispatch(tape.ctx(), x.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    copy_columns(lane, s, x.as<const T>(), y.as<T>());
  });
  tape.on_backward("slice", {y}, [s, x, y](Tape& t) {
    const Slot dx = t.grad_slot(x);
    if (!dx) return;
    const ColumnsShape back{s.rows, s.dst_cols, s.src_cols, 0, s.src_first, s.count};
    dispatch(t.ctx(), x.dtype, [&](auto lane) {
      using T = typename decltype(lane)::type;
      copy_columns(lane, back, static_cast<const T*>(t.output_grad(y)), dx.as<T>());
    });
  });
  return y;
}

Var concat(Tape& tape, const Var& a, const Var& b) {
  check_rank("concat", "a", a, 2);
  check_rank("concat", "b", b, 2);
  check_dtypes("concat", {a, b});
  if (a.shape[0] != b.shape[0])
    refuse("concat", "expects equal rows, given " + to_string(a.shape) + " and " + to_string(b.shape));
  const Shape joined{a.shape[0], int64_t{a.shape[1]} + b.shape[1]};
  const int wide = joined[1];
  const ColumnsShape left{a.shape[0], a.shape[1], wide, 0, 0, a.shape[1]};
  const ColumnsShape right{a.shape[0], b.shape[1], wide, 0, a.shape[1], b.shape[1]};
  const Var y = tape.output(joined, a.dtype, {a, b});
  dispatch(tape.ctx(), a.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    copy_columns(lane, left, a.as<const T>(), y.as<T>());
    copy_columns(lane, right, b.as<const T>(), y.as<T>());
  });
  tape.on_backward("concat", {y}, [left, right, a, b, y](Tape& t) {
    const Slot da = t.next_grad_slot(a), db = t.next_grad_slot(b);
    const auto back = [](const ColumnsShape& s) {
      return ColumnsShape{s.rows, s.dst_cols, s.src_cols, s.dst_first, 0, s.count};
    };
    dispatch(t.ctx(), y.dtype, [&](auto lane) {
      using T = typename decltype(lane)::type;
      const T* dy = static_cast<const T*>(t.output_grad(y));
      if (da) copy_columns(lane, back(left), dy, da.as<T>());
      if (db) copy_columns(lane, back(right), dy, db.as<T>());
    });
  });
  return y;
}

}  // namespace hourglass
