package org.legodnn.demo;

import android.content.res.Resources;
import java.util.ArrayList;
import java.util.List;
import org.legodnn.Infeasible;
import org.legodnn.Limit;

/** Says in words why no plan holds a budget: which limit is short and by how much. */
final class Explanation {
    private static final double MB = 1e6;

    private Explanation() {}

    static String of(Infeasible report, Resources resources) {
        List<String> remedies = new ArrayList<>();
        for (Limit limit : report.limits()) {
            if (limit.needed() != null) {
                remedies.add(shortage(limit, resources));
            }
        }
        StringBuilder words = new StringBuilder(resources.getString(R.string.infeasible));
        if (remedies.size() == 1) {
            return words.append(' ').append(remedies.get(0)).toString();
        }
        if (!remedies.isEmpty()) {
            words.append(' ').append(resources.getString(R.string.any_would_do));
            for (String remedy : remedies) {
                words.append(resources.getString(R.string.item, remedy));
            }
            return words.toString();
        }
        List<Limit> clash = report.clash();
        words.append(' ').append(resources.getString(
                clash.size() == 1 ? R.string.clash_one : R.string.clash_many, together(clash, 1, resources)));
        if (report.excess() != null) {
            double wider = 1 + report.excess();
            words.append(' ').append(resources.getString(R.string.all_wider, Math.ceil(1000 * report.excess()) / 10,
                    together(report.limits(), wider, resources)));
        }
        return words.toString();
    }

    private static String shortage(Limit limit, Resources resources) {
        double missing = limit.needed() - limit.limit();
        if (limit.kind() == Limit.Kind.MEMORY) {
            return resources.getString(
                    R.string.memory_short, up(missing / MB, 100), limit.limit() / MB, up(limit.needed() / MB, 100));
        }
        return resources.getString(
                R.string.latency_short, limit.model(), up(missing, 1000), limit.limit(), up(limit.needed(), 1000));
    }

    private static String together(List<Limit> limits, double wider, Resources resources) {
        String words = null;
        for (Limit limit : limits) {
            double value = limit.limit() * wider;
            String one = limit.kind() == Limit.Kind.MEMORY
                    ? resources.getString(R.string.limit_memory, wider > 1 ? up(value / MB, 100) : value / MB)
                    : resources.getString(R.string.limit_latency, wider > 1 ? up(value, 1000) : value, limit.model());
            words = words == null ? one : resources.getString(R.string.and, words, one);
        }
        return words;
    }

    /** Rounded up to the digits that are shown, so that what is said to do does. */
    private static double up(double value, int digits) {
        return Math.ceil(value * digits) / digits;
    }
}
