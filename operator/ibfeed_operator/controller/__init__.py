"""The reconcile loop: snapshot, context, steps."""
