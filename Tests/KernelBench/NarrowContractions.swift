import KernelIR
import TensorTypes

/// C[M, N] in i32 of A (u8) and B (i8, packed [N / columns][K / 4][columns][4]), or in f32 of bf16 packed by 2.
func narrowMatmul(_ m: Int, _ n: Int, _ k: Int, _ tile: Tile, bytes: Bool) -> Kernel {
  var builder = KernelBuilder()
  let group = bytes ? 4 : 2
  let result: ElementType = bytes ? .i32 : .f32
  let a = builder.buffer("a", bytes ? .u8 : .bf16, .read)
  let b = builder.buffer("b", bytes ? .i8 : .bf16, .read)
  let c = builder.buffer("c", result, .write)
  let body = builder.loop("panel", to: .index(n / tile.columns), .parallel) { kb, panel in
    [
      kb.loop("row", to: .index(m), by: tile.rows) { kb, row in
        let acc = kb.local("acc", result, count: tile.rows * tile.columns)
        func each(_ kb: inout KernelBuilder, _ body: @escaping (Expression, Expression, Expression) -> Statement) -> Statement {
          kb.loop("i", to: .index(tile.rows), .unrolled) { kb, i in
            [kb.loop("j", to: .index(tile.columns), .vectorized) { _, j in [body(i, j, i * .index(tile.columns) + j)] }]
          }
        }
        return [
          .allocate(acc),
          each(&kb) { _, _, place in .assign(acc, index: place, value: .number(0, result)) },
          kb.loop("k", to: .index(k), by: group) { kb, kk in
            [
              each(&kb) { i, j, place in
                var sum = Expression.local(acc, place)
                for step in 0..<group {
                  let x = Expression.convert(.load(a, ((row + i) * .index(k) + kk) + .index(step)), result)
                  let y = Expression.convert(.load(b, ((panel * .index(k) + kk) * .index(tile.columns) + j * .index(group)) + .index(step)), result)
                  sum = bytes ? .binary(.add, sum, .binary(.multiply, x, y)) : .multiplyAdd(x, y, sum)
                }
                return .assign(acc, index: place, value: sum)
              }
            ]
          },
          each(&kb) { i, j, place in .store(c, index: (row + i) * .index(n) + panel * .index(tile.columns) + j, value: .local(acc, place)) },
        ]
      }
    ]
  }
  return builder.kernel(bytes ? "matmul_i8" : "matmul_bf16", [body])
}
