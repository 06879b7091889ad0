package org.legodnn;

import java.util.ArrayList;
import java.util.List;

/** The tables of a workload's models, with what each takes more because the others are there. */
final class WorkloadTables {
    private WorkloadTables() {}

    /**
     * The table of each model, in the models' order.
     *
     * A profile says how many times longer a model takes beside another one that runs without pause. Beside a model
     * that runs for a share of the time, that share of the increase is expected: its rate times the latency of its
     * originals. So a model without a rate is expected to slow nobody down. What several add is summed. Limits of
     * latency are about a quantile, so they count the others by the share of inferences that meet them ({@link Tails}).
     * A model with a rate pauses between its inferences, which slows them down, too.
     * Where there are several, each takes the memory more that its profile says. A slow-down or tails that the
     * application has set itself stay.
     */
    static List<ModelTable> of(List<LegoModel> models) {
        List<ModelTable> tables = new ArrayList<>();
        for (LegoModel model : models) {
            double slowdown = 1;
            List<Tails.Companion> companions = new ArrayList<>();
            for (LegoModel other : models) {
                if (other != model) {
                    double rate = (other.table.rateHz == null ? 0 : other.table.rateHz) / 1e3;
                    Double known = model.profile.contention.get(other.store.id());
                    double beside = known == null ? 1 : known;
                    slowdown += (beside - 1) * Math.min(1, rate * originalsMs(other));
                    // An inference meets another model that runs when it begins, or begins before it ends.
                    double meets = Math.min(1, rate * (originalsMs(other) + originalsMs(model)));
                    companions.add(new Tails.Companion(other.store.id(), meets, beside));
                }
            }
            ModelTable table = models.size() > 1 && model.profile.companyBytes > 0
                    ? model.table.withMoreMemory(model.profile.companyBytes) : model.table;
            table = table.slowdown == 1 ? table.withSlowdown(slowdown) : table;
            tables.add(table.tails == model.profiledTails
                    ? table.withTails(Tails.of(model.profile.tails, table.slowdown, companions, table.rateHz != null))
                    : table);
        }
        return tables;
    }

    /** The latency of a model's originals together, at the first thread count that was profiled. */
    private static double originalsMs(LegoModel model) {
        double sum = 0;
        for (Segment segment : model.store.manifest().segments) {
            for (OptionProfile option : model.profile.options) {
                if (option.segment.equals(segment.name) && option.option.equals(segment.original().name)) {
                    sum += option.latency.get(0).medianMs;
                }
            }
        }
        return sum;
    }
}
