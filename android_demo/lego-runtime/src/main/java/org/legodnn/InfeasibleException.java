package org.legodnn;

/** No combination of blocks holds the limits; {@link #report()} says which limits fall short and by how much. */
public final class InfeasibleException extends WorkloadException {
    private static final long serialVersionUID = 1;

    private final transient Infeasible report;

    /** @param report why there is no plan */
    public InfeasibleException(Infeasible report) {
        super(report.toString());
        this.report = report;
    }

    /** Why there is no plan. */
    public Infeasible report() {
        return report;
    }
}
