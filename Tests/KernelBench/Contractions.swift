import KernelIR
import TensorTypes

/// What a contraction tile looks like.
struct Tile {
  var rows: Int
  var columns: Int
  /// Steps of the summed index in one round of its loop.
  var unroll: Int
}

/// C[M, N] = A[M, K] * B, B packed as [N / columns][K][columns].
func matmul(_ m: Int, _ n: Int, _ k: Int, _ tile: Tile) -> Kernel {
  var builder = KernelBuilder()
  let a = builder.buffer("a", .f32, .read)
  let b = builder.buffer("b", .f32, .read)
  let c = builder.buffer("c", .f32, .write)
  func block(_ kb: inout KernelBuilder, rows: Int, _ row: Expression, _ panel: Expression) -> [Statement] {
    let acc = kb.local("acc", .f32, count: rows * tile.columns)
    func step(_ kb: inout KernelBuilder, _ kk: Expression) -> [Statement] {
      [
        kb.loop("i", to: .index(rows), .unrolled) { kb, i in
          [
            kb.loop("j", to: .index(tile.columns), .vectorized) { _, j in
              let place = i * .index(tile.columns) + j
              let x = Expression.load(a, (row + i) * .index(k) + kk)
              let y = Expression.load(b, (panel * .index(k) + kk) * .index(tile.columns) + j)
              return [.assign(acc, index: place, value: .multiplyAdd(x, y, .local(acc, place)))]
            }
          ]
        }
      ]
    }
    return [
      .allocate(acc),
      kb.loop("i", to: .index(rows), .unrolled) { kb, i in
        [kb.loop("j", to: .index(tile.columns), .vectorized) { _, j in [.assign(acc, index: i * .index(tile.columns) + j, value: .number(0, .f32))] }]
      },
      kb.loop("k", to: .index(k / tile.unroll * tile.unroll), by: tile.unroll) { kb, kk in
        tile.unroll == 1 ? step(&kb, kk) : [kb.loop("u", to: .index(tile.unroll), .unrolled) { kb, u in step(&kb, kk + u) }]
      },
    ]
      + (k % tile.unroll == 0
        ? [] : [kb.loop("k", from: .index(k / tile.unroll * tile.unroll), to: .index(k), .unrolled) { kb, kk in step(&kb, kk) }]) + [
        kb.loop("i", to: .index(rows), .unrolled) { kb, i in
          [
            kb.loop("j", to: .index(tile.columns), .vectorized) { _, j in
              [.store(c, index: (row + i) * .index(n) + panel * .index(tile.columns) + j, value: .local(acc, i * .index(tile.columns) + j))]
            }
          ]
        }
      ]
  }
  let body = builder.loop("panel", to: .index(n / tile.columns), .parallel) { kb, panel in
    var body = [kb.loop("row", to: .index(m / tile.rows * tile.rows), by: tile.rows) { kb, row in block(&kb, rows: tile.rows, row, panel) }]
    if m % tile.rows != 0 { body += block(&kb, rows: m % tile.rows, .index(m / tile.rows * tile.rows), panel) }
    return body
  }
  return builder.kernel("matmul", [body])
}

/// 3x3 convolution, stride 1: input [H+2, W+2, C] padded, weights [O / 32][3][3][C][32], output [H, W, O].
func convolution(_ height: Int, _ width: Int, _ channels: Int, _ outputs: Int, _ tile: Tile) -> Kernel {
  var builder = KernelBuilder()
  let x = builder.buffer("x", .f32, .read)
  let w = builder.buffer("w", .f32, .read)
  let y = builder.buffer("y", .f32, .write)
  let panels = outputs / tile.columns
  let body = builder.loop("row", to: .index(height * panels), .parallel) { kb, item in
    let oy = item.remainderByIndex(.index(height))
    let panel = item.dividedByIndex(.index(height))
    return [
      kb.loop("ox", to: .index(width), by: tile.rows) { kb, ox in
        let acc = kb.local("acc", .f32, count: tile.rows * tile.columns)
        return [
          .allocate(acc),
          kb.loop("i", to: .index(tile.rows), .unrolled) { kb, i in
            [kb.loop("j", to: .index(tile.columns), .vectorized) { _, j in [.assign(acc, index: i * .index(tile.columns) + j, value: .number(0, .f32))] }]
          },
          kb.loop("ky", to: .index(3)) { kb, ky in
            [
              kb.loop("kx", to: .index(3)) { kb, kx in
                [
                  kb.loop("c", to: .index(channels), by: tile.unroll) { kb, c in
                    [
                      kb.loop("u", to: .index(tile.unroll), .unrolled) { kb, u in
                        [
                          kb.loop("i", to: .index(tile.rows), .unrolled) { kb, i in
                            [
                              kb.loop("j", to: .index(tile.columns), .vectorized) { _, j in
                                let place = i * .index(tile.columns) + j
                                let pixel = (oy + ky) * .index(width + 2) + (ox + i + kx)
                                let a = Expression.load(x, pixel * .index(channels) + (c + u))
                                let tap = ((panel * .index(3) + ky) * .index(3) + kx) * .index(channels) + (c + u)
                                let b = Expression.load(w, tap * .index(tile.columns) + j)
                                return [.assign(acc, index: place, value: .multiplyAdd(a, b, .local(acc, place)))]
                              }
                            ]
                          }
                        ]
                      }
                    ]
                  }
                ]
              }
            ]
          },
          kb.loop("i", to: .index(tile.rows), .unrolled) { kb, i in
            [
              kb.loop("j", to: .index(tile.columns), .vectorized) { _, j in
                let pixel = oy * .index(width) + (ox + i)
                return [.store(y, index: pixel * .index(outputs) + panel * .index(tile.columns) + j, value: .local(acc, i * .index(tile.columns) + j))]
              }
            ]
          },
        ]
      }
    ]
  }
  return builder.kernel("convolution", [body])
}
