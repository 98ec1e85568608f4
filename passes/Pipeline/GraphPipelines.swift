import GraphIR

extension Pipeline<Graph> {
  /// Rewrites that hold on every machine; the result prints, reloads and names no target. Composites stay.
  public static let portable = Pipeline("portable") {
    stateConditions
    eliminateDeadNodes
    eliminateCommonSubexpressions
    simplifying
  }

  /// What every other graph pass leaves behind is cleaned up by this.
  public static let simplifying = Pipeline("simplifying") {
    fixpoint(atMost: 8) {
      foldConstants
      simplifyControl
      bindLengths
      removeIdentities
      simplifyMovement
      simplifyIndexing
      simplifyAlgebra
      sinkBroadcasts
      sinkReshapes
      simplifyReductions
      flattenBatches
      unitAxesFirst
      foldPadding
      foldScaleAndShift
    }
    eliminateCommonSubexpressions
    eliminateDeadNodes
  }

  /// Channels-last convolutions, and the simplifications that this makes possible. For graphs that were simplified.
  public static let layout = Pipeline("layout") {
    channelsLast
    absorbTransposes
    simplifying
  }
}
