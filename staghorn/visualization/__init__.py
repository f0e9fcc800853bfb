"""Pictures of training and of models; matplotlib and rich load on use."""

from staghorn.visualization.curves import plot_actual_vs_predicted as plot_actual_vs_predicted
from staghorn.visualization.curves import plot_history as plot_history
from staghorn.visualization.summary import print_summary as print_summary
